"""An agent of LangChain's `create_agent`: runs, is recorded, asks and goes on, through the bench."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.types import interrupt

from wtb.sdk import RunResult, TestBench, TokenStreamed, WorkflowProject

sent: list[str] = []
"""Letters that really went out."""


class Clerk(BaseChatModel):
    """A chat model that decides by what stands in the conversation: looks two things up at once, writes, then tells."""

    @property
    def _llm_type(self) -> str:
        return "clerk"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[tool.name for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        results = [message for message in messages if isinstance(message, ToolMessage)]
        if not results:
            calls = [call("price", "1", of="tea"), call("price", "2", of="milk")]
            answer = AIMessage("let me look", tool_calls=calls)
        elif len(results) == 2:
            letter = " and ".join(sorted(result.text for result in results))
            answer = AIMessage("let me write", tool_calls=[call(kwargs["tools"][-1], "3", letter=letter)])
        else:
            answer = AIMessage(f"told: {results[-1].text}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


def call(name: str, call_id: str, **args: str) -> Any:
    return {"name": name, "id": call_id, "args": args}


@tool
def price(of: str) -> str:
    """Look a price up."""
    return f"{of} is {len(of)}"


@tool
def send(letter: str) -> str:
    """Send a letter."""
    sent.append(letter)
    return f"sent {letter!r}"


@tool
def ask_and_send(letter: str) -> str:
    """Send a letter once someone has signed it."""
    sent.append(f"{letter}, {interrupt({'sign': letter})}")
    return "sent"


def reviewed() -> Any:
    """An agent whose letters a person must approve."""
    review = HumanInTheLoopMiddleware(interrupt_on={"send": True})
    return create_agent(Clerk(), tools=[price, send], middleware=[review], name="clerk")


def signed() -> Any:
    """An agent with a tool that asks."""
    return create_agent(Clerk(), tools=[price, ask_and_send], name="clerk")


INPUT = {"messages": [HumanMessage("what do tea and milk cost?")]}
LETTER = "milk is 4 and tea is 3"


@pytest.fixture
def project(store_location: str, tmp_path: Path) -> Iterator[WorkflowProject]:
    sent.clear()
    yield WorkflowProject("agents", db_path=store_location, output_dir=tmp_path / "out")
    sent.clear()


def said(result: RunResult) -> list[str]:
    return [message.text for message in result.state["messages"]]


def steps(bench: TestBench, result: RunResult) -> list[tuple[str, str]]:
    return [(step.node, step.status) for step in bench.steps(result.execution_id).items]


def test_an_agent_runs_to_its_end_and_every_step_is_recorded(project: WorkflowProject) -> None:
    with TestBench(project) as bench:
        agent = create_agent(Clerk(), tools=[price, send], name="clerk")
        result = bench.run(agent, INPUT)

        assert (result.status, result.workflow, sent) == ("completed", "clerk", [LETTER])
        assert said(result) == [
            "what do tea and milk cost?",
            "let me look",
            "tea is 3",
            "milk is 4",
            "let me write",
            f"sent {LETTER!r}",
            f"told: sent {LETTER!r}",
        ]
        assert steps(bench, result) == [
            ("model", "completed"),
            ("tools", "completed"),
            ("tools", "completed"),
            ("model", "completed"),
            ("tools", "completed"),
            ("model", "completed"),
        ]
        assert bench.state(result.execution_id)["messages"] == result.state["messages"]
        assert all(message.id for message in result.state["messages"])


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_person_approves_later_and_the_agent_goes_on(project: WorkflowProject, asynchronous: bool) -> None:
    with TestBench(project) as bench:
        paused = await bench.arun(reviewed(), INPUT) if asynchronous else bench.run(reviewed(), INPUT)

        assert (paused.status, sent) == ("paused", [])
        assert paused.interrupts[0].value["action_requests"][0]["args"] == {"letter": LETTER}
        assert steps(bench, paused)[-1][1] == "interrupted"

    approval = {"decisions": [{"type": "approve"}]}
    with TestBench(project) as bench:
        if asynchronous:
            done = await bench.aresume(paused.execution_id, approval, graph=reviewed())
        else:
            done = bench.resume(paused.execution_id, approval, graph=reviewed())

        assert (done.status, sent) == ("completed", [LETTER])
        assert said(done)[-1] == f"told: sent {LETTER!r}"
        assert [node for node, status in steps(bench, done) if status == "interrupted"] == [
            "HumanInTheLoopMiddleware.after_model"
        ]
        assert bench.execution(done.execution_id).status == "completed"


def test_a_person_may_edit_or_reject_what_the_agent_would_do(project: WorkflowProject) -> None:
    with TestBench(project) as bench:
        edited = {"name": "send", "args": {"letter": "nothing is free"}}
        for decision, last in (
            ({"type": "edit", "edited_action": edited}, "sent 'nothing is free'"),
            ({"type": "reject", "message": "not today"}, "not today"),
        ):
            paused = bench.run(reviewed(), INPUT)
            done = bench.resume(paused.execution_id, {"decisions": [decision]})
            assert done.status == "completed"
            assert last in said(done)[-1]
        assert sent == ["nothing is free"]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_tool_that_asks_gets_its_answer(project: WorkflowProject, asynchronous: bool) -> None:
    with TestBench(project) as bench:
        paused = await bench.arun(signed(), INPUT) if asynchronous else bench.run(signed(), INPUT)
        assert [question.value for question in paused.interrupts] == [{"sign": LETTER}]
        assert sent == []

    with TestBench(project) as bench:
        if asynchronous:
            done = await bench.aresume(paused.execution_id, "Ada", graph=signed())
        else:
            done = bench.resume(paused.execution_id, "Ada", graph=signed())

        assert (done.status, sent) == ("completed", [f"{LETTER}, Ada"])
        assert steps(bench, done)[-3:] == [("tools", "interrupted"), ("tools", "completed"), ("model", "completed")]


async def test_an_agents_tokens_stream_past_the_record(project: WorkflowProject) -> None:
    with TestBench(project) as bench:
        stream = bench.astream(create_agent(Clerk(), tools=[price, send], name="clerk"), INPUT)
        tokens = [part async for part in stream if isinstance(part, TokenStreamed)]
        result = await stream.result()

        assert result.status == "completed"
        assert "".join(token.text for token in tokens if token.node == "model").startswith("let me look")
        assert steps(bench, result)[-1] == ("model", "completed")
