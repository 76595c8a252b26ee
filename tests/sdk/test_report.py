"""The record of one execution as a page: everything is on it, nothing on it is code, and it needs nothing else."""

import re
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict

from tests.infra.event_store.given import outside
from tests.sdk.given import asks, chain, says
from wtb.domain.audit import AUDIT_STREAM, ExecutionErased
from wtb.domain.errors import ExecutionNotFound
from wtb.domain.event_log import Append, Origin
from wtb.domain.identifiers import ExecutionId
from wtb.infra.event_store.compaction import compact, expand
from wtb.sdk import TestBench, shown_values
from wtb.sdk.shown_values import LONGEST, Shown

EVIL = "<script>alert('x')</script>&amp;\"'"
VOID = {"meta", "br", "link", "img", "input"}
REFERRING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class Read(HTMLParser):
    """What a browser would make of a page: its texts, its elements, and whether they close as they opened."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def fails(state: Any) -> Any:
    raise ValueError("no way")


def read(bench: TestBench, execution: str) -> Read:
    return Read(bench.report(execution))


def needs_nothing(page: Read) -> bool:
    """No script, and nothing that a browser would fetch or follow elsewhere."""
    outside = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in REFERRING and not (value or "").startswith("#")
    ]
    handlers = [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    return not outside and not handlers and page.tags().isdisjoint({"script", "link", "img", "iframe", "object"})


def test_a_page_tells_who_what_and_when(bench: TestBench) -> None:
    bench.run(chain(first=says("one"), second=asks("go on?")), {"query": "a question"}, execution_id="e", actor="ann")
    bench.resume("e", "yes, do", actor="bob")
    page = read(bench, "e")
    assert re.search(r"started [\d-]+ [\d:.]+ UTC by ann", page.text)
    assert re.search(r"execution resumed bob resume", page.text)
    assert re.search(r"verified : \d+ events follow one another unchanged", page.text)
    assert "go on? yes, do" in page.text
    assert 'input { "query": "a question" }' in page.text
    assert needs_nothing(page)


def test_a_step_shows_what_its_node_saw_and_wrote(quick_bench: TestBench) -> None:
    quick_bench.run(chain(first=says("one"), second=says("two")), {"query": "q"}, execution_id="e")
    text = read(quick_bench, "e").text
    second = text[text.index("second completed") :]
    saw = quick_bench.steps("e")[1].checkpoint
    assert f'Saw checkpoint {saw} query q notes [ "one" ] Wrote notes [ "two" ]' in second


def test_a_page_tells_where_an_execution_comes_from_and_what_was_done_to_it(bench: TestBench) -> None:
    bench.run(chain(first=says("one"), second=says("two")), {"query": "q"}, execution_id="e")
    middle = bench.steps("e")[1].checkpoint
    bench.fork("e", at=middle, new_id="child", actor="ann", reason="to see")
    bench.rollback("e", to=middle, actor="bob", reason="it went wrong")
    bench.edit("e", {"notes": ["mended"]}, actor="carl", reason="by hand")
    parent, child = read(bench, "e").text, read(bench, "child").text
    assert f"forked from e at {middle}" in child
    assert f"forked into child at {middle}" in parent
    assert "rolled back bob" in parent
    assert "reason it went wrong" in parent
    assert "state edited carl" in parent
    assert 'reason by hand notes [ "mended" ]' in parent


def test_an_error_stands_there_with_its_traceback(quick_bench: TestBench) -> None:
    quick_bench.run(chain(first=says("one"), breaks=fails), {"query": "q"}, execution_id="e")
    page = read(quick_bench, "e")
    assert "ValueError in breaks, attempt 1" in page.text
    assert 'raise ValueError("no way")' in page.text
    assert page.text.count("ValueError in breaks") == 1


def test_a_question_without_an_answer_says_so(quick_bench: TestBench) -> None:
    quick_bench.run(chain(first=asks("go on?")), {"query": "q"}, execution_id="e")
    assert "go on? none yet" in read(quick_bench, "e").text


@pytest.mark.parametrize("what", ["value", "node", "actor", "workflow", "error", "question", "reason"])
def test_what_users_made_is_never_code(quick_bench: TestBench, what: str) -> None:
    nodes: dict[str, Callable[..., Any]] = {"plain": says("one")}
    given: dict[str, Any] = {"execution_id": "e"}
    if what == "node":
        nodes = {EVIL: says("one")}
    elif what == "error":

        def breaks(state: Any) -> Any:
            raise ValueError(EVIL)

        nodes = {"breaks": breaks}
    elif what == "question":
        nodes = {"asks": asks(EVIL)}
    elif what in ("actor", "workflow"):
        given[what] = EVIL
    quick_bench.run(chain(name=None, **nodes), {"query": EVIL if what == "value" else "q"}, **given)
    if what == "reason":
        store = quick_bench.platform.store
        erased = ExecutionErased(execution=ExecutionId("e"), values=0, reason=EVIL)
        store.append([Append(AUDIT_STREAM, store.head(AUDIT_STREAM), [erased], [1], Origin("me"))])
    html = quick_bench.report("e")
    page = Read(html)
    assert "<script" not in html
    assert needs_nothing(page)
    assert EVIL in page.text


def test_an_execution_id_is_never_code(quick_bench: TestBench) -> None:
    quick_bench.run(chain(first=says("one")), {"query": "q"}, execution_id="<b onclick=x>e")
    page = read(quick_bench, "<b onclick=x>e")
    assert needs_nothing(page)
    assert "Execution <b onclick=x>e : completed" in page.text


def test_a_page_is_written_where_it_is_wanted(quick_bench: TestBench, tmp_path: Path) -> None:
    quick_bench.run(
        chain(first=says("Grüße, \x00 ends")),
        {"query": "q"},
        execution_id="e",
    )
    page = quick_bench.report("e", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert "Grüße" in page
    assert "\x00" not in page


def test_nobody_has_no_page(quick_bench: TestBench) -> None:
    with pytest.raises(ExecutionNotFound):
        quick_bench.report("nobody")


def test_a_very_long_value_is_cut_and_says_so(quick_bench: TestBench) -> None:
    quick_bench.run(chain(first=says("x" * 200_000)), {"query": "q"}, execution_id="e")
    html = quick_bench.report("e")
    assert "x" * (LONGEST // 2) in html
    assert len(html) < 60_000
    assert re.search(r"cut: 200,000 characters in all", Read(html).text)


def test_a_value_that_comes_again_is_shown_once(quick_bench: TestBench) -> None:
    quick_bench.run(chain(first=says("a"), second=says("b")), {"query": "long " * 200}, execution_id="e")
    page = read(quick_bench, "e")
    anchors = [attributes["id"] for tag, attributes in page.elements if tag == "details" and "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert "shown above" in page.text
    links = {(attributes["href"] or "")[1:] for tag, attributes in page.elements if tag == "a"}
    assert links <= set(anchors)


def test_a_page_bears_no_more_than_it_can(quick_bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_values, "ALL", 1_000)
    quick_bench.run(chain(first=says("a " * 300), second=says("b " * 300)), {"query": "c " * 300}, execution_id="e")
    assert "not shown whole: the page has got too long" in read(quick_bench, "e").text


def test_a_changed_event_shows_that_the_chain_is_broken(quick_bench: TestBench, tmp_path: Path) -> None:
    quick_bench.run(chain(first=says("one")), {"query": "q"}, execution_id="e")
    second = quick_bench.events("e")[1].position
    with sqlite3.connect(tmp_path / "wtb.db") as tampering:
        [(stored,)] = tampering.execute("SELECT state FROM wtb_events WHERE position=?", (second,)).fetchall()
        changed = compact(expand(stored).replace(b'"cause":"run"', b'"cause":"fun"'))
        tampering.execute("UPDATE wtb_events SET state=? WHERE position=?", (changed, second))
    tampering.close()
    text = read(quick_bench, "e").text
    assert re.search(rf"not verified: 1 of \d+ events aren't as they were recorded. changed: position {second}", text)


def test_what_was_erased_is_said_to_be_gone(bench: TestBench) -> None:
    bench.run(chain(first=says("one")), {"query": "a secret"}, execution_id="e")
    store = bench.platform.store
    digests = {write.value for step in bench.steps("e") for write in step.writes}
    assert digests
    with outside(bench.project.location) as session:
        session.execute("DELETE FROM wtb_values")
    erased = ExecutionErased(execution=ExecutionId("e"), values=2, reason="asked to")
    store.append([Append(AUDIT_STREAM, store.head(AUDIT_STREAM), [erased], [1], Origin("officer"))])
    text = read(bench, "e").text
    assert "execution erased by officer" in text
    assert "asked to" in text
    assert "it isn't stored any more" in text
    assert "a secret" not in text


def test_a_long_conversation_is_shown_by_its_ends(quick_bench: TestBench) -> None:
    class Chat(TypedDict):
        messages: Annotated[list[Any], add_messages]

    graph: Any = StateGraph(Chat)
    graph.add_node("say", lambda state: {"messages": [HumanMessage(f"message {len(state['messages'])} " + "x" * 400)]})
    graph.add_edge(START, "say")
    graph.add_conditional_edges("say", lambda state: "say" if len(state["messages"]) < 60 else END)
    quick_bench.run(graph, {"messages": []}, execution_id="e", config={"recursion_limit": 100})
    html = quick_bench.report("e")
    assert "59 elements" in html
    assert "49 more …" in html
    assert len(html) < 500_000


def test_an_execution_of_a_thousand_steps_fits_on_a_page(quick_bench: TestBench) -> None:
    class Counting(TypedDict):
        i: int
        blob: str

    graph: Any = StateGraph(Counting)
    graph.add_node("step", lambda state: {"i": state["i"] + 1})
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["i"] < 1000 else END)
    quick_bench.run(graph, {"i": 0, "blob": "b" * 2_000}, execution_id="e", config={"recursion_limit": 2_000})
    html = quick_bench.report("e")
    assert len([1 for tag, attributes in Read(html).elements if attributes.get("class") == "step"]) == 1000
    assert len(html) < 3_000_000


def test_what_json_cannot_say_is_shown_as_python_does(quick_bench: TestBench) -> None:
    shown = Shown(quick_bench.platform)
    assert shown.text_of({1: {2, 3}}) == '{\n  "1": [\n    2,\n    3\n  ]\n}'
    assert shown.text_of({(1, 2): "x"}) == '{\n  "(1, 2)": "x"\n}'
    assert shown.text_of({complex(1, 2): b"x"}).startswith("{")
    assert shown.clean("a\x00b\ud800c\n") == "a\ufffdb\ufffdc\n"
