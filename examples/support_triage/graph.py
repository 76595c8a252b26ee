"""A support desk as a graph: it sorts an e-mail, looks for help, drafts a reply, asks a person, and sends.

    read → classify → retrieve ⇉ search (one per article, in parallel) → rank → draft → review → send

Input is `{"ticket": name}`, a file of `tickets/`. The graph stops in `review` and goes on with an answer:
`{"action": "approve"}`, `{"action": "edit", "reply": text}` or `{"action": "reject", "reason": text}`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from examples.support_triage import prompts, retrieval
from examples.support_triage.inbox import Email, read_email
from examples.support_triage.model import chosen_model
from examples.support_triage.prompts import Category
from examples.support_triage.retrieval import KnowledgeBaseTimeout, Passage

ARTICLES_TO_SEARCH = 3
PASSAGES_IN_REPLY = 2

Decision = Literal["approve", "edit", "reject"]


class Ticket(TypedDict):
    """The graph's input."""

    ticket: str


class SentReply(TypedDict):
    """A reply as it went out."""

    to: str
    subject: str
    body: str


class Triage(Ticket, total=False):
    """The graph's state; each key but `ticket` is there once its node has run."""

    email: Email
    category: Category
    query: str
    articles: list[str]
    found: Annotated[list[Passage], retrieval.merge]
    passages: list[Passage]
    reply: str
    decision: Decision
    reason: str
    sent: SentReply


class Search(TypedDict):
    """What one of the parallel searches is given."""

    article: str
    query: str


def read(state: Triage) -> dict[str, Any]:
    """Read the ticket's e-mail from its file."""
    return {"email": read_email(state["ticket"])}


def classify(state: Triage) -> dict[str, Any]:
    """Let the model say what kind of e-mail it is."""
    answer = chosen_model().invoke(prompts.classification(state["email"]))
    return {"category": prompts.category_in(answer.text)}


def retrieve(state: Triage, runtime: Runtime) -> dict[str, Any]:
    """Choose the articles to search. The knowledge base sleeps: the first attempt always times out.

    The category's topic joins the query, so that e-mails in other languages find something too.
    """
    if runtime.execution_info is not None and runtime.execution_info.node_attempt == 1:
        raise KnowledgeBaseTimeout("the knowledge base did not answer; it is waking up")
    email = state["email"]
    query = f"{email['subject']}\n{email['body']}\n{prompts.TOPICS[state['category']]}"
    return {"query": query, "articles": retrieval.relevant_articles(query, limit=ARTICLES_TO_SEARCH)}


def search_each_article(state: Triage) -> list[Send]:
    """Start one `search` for each chosen article."""
    return [Send("search", Search(article=article, query=state["query"])) for article in state["articles"]]


def search(state: Search) -> dict[str, Any]:
    """Search one article."""
    return {"found": retrieval.search(state["article"], state["query"])}


def rank(state: Triage) -> dict[str, Any]:
    """Keep the best of what all searches found."""
    return {"passages": retrieval.best(state["found"], limit=PASSAGES_IN_REPLY)}


def draft(state: Triage) -> dict[str, Any]:
    """Let the model write a reply from the passages."""
    answer = chosen_model().invoke(prompts.reply_draft(state["email"], state["category"], state["passages"]))
    return {"reply": answer.text}


def review(state: Triage) -> dict[str, Any]:
    """Ask a person whether the reply may go out; ask again while the answer can't be understood."""
    question = {
        "question": "May this reply go out?",
        "to": state["email"]["address"],
        "category": state["category"],
        "reply": state["reply"],
        "answers": [
            {"action": "approve"},
            {"action": "edit", "reply": "…"},
            {"action": "reject", "reason": "…"},
        ],
    }
    answer = interrupt(question)
    while True:
        match answer:
            case {"action": "approve"}:
                return {"decision": "approve"}
            case {"action": "edit", "reply": str(reply)} if reply.strip():
                return {"decision": "edit", "reply": reply}
            case {"action": "reject"}:
                return {"decision": "reject", "reason": str(answer.get("reason", ""))}
            case _:
                pass
        answer = interrupt({**question, "not_understood": answer})


def may_go_out(state: Triage) -> Literal["send", "__end__"]:
    """A rejected reply is never sent."""
    return "__end__" if state["decision"] == "reject" else "send"


def send(state: Triage, config: RunnableConfig) -> dict[str, Any]:
    """Send the reply: into `reply.txt` of the folder `output_dir` of the run's config, if it names one.

    Sending again after a crash writes the same file again.
    """
    email = state["email"]
    sent = SentReply(to=email["address"], subject=f"Re: {email['subject']}", body=state["reply"])
    if output_dir := config["configurable"].get("output_dir"):
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        text = f"To: {sent['to']}\nSubject: {sent['subject']}\n\n{sent['body']}\n"
        (folder / "reply.txt").write_text(text, encoding="utf-8")
    return {"sent": sent}


def build_graph() -> StateGraph[Triage, None, Ticket, Triage]:
    """The support desk, not yet compiled."""
    builder = StateGraph(Triage, input_schema=Ticket)
    builder.add_node(read)
    builder.add_node(classify)
    builder.add_node(
        retrieve,
        retry_policy=RetryPolicy(retry_on=KnowledgeBaseTimeout, initial_interval=0.05, jitter=False),
    )
    builder.add_node(search)
    builder.add_node(rank)
    builder.add_node(draft)
    builder.add_node(review)
    builder.add_node(send)

    builder.add_edge(START, "read")
    builder.add_edge("read", "classify")
    builder.add_edge("classify", "retrieve")
    builder.add_conditional_edges("retrieve", search_each_article, ["search"])
    builder.add_edge("search", "rank")
    builder.add_edge("rank", "draft")
    builder.add_edge("draft", "review")
    builder.add_conditional_edges("review", may_go_out)
    builder.add_edge("send", END)
    return builder


graph = build_graph().compile()
