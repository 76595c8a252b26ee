"""Two executions beside each other: what is alike, what differs, and where it began."""

import json
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import RetryPolicy, Send
from pydantic import BaseModel
from typing_extensions import TypedDict

from tests.sdk.given import Notes, asks, beside, chain, says
from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, InvalidRequest, ValueMissing
from wtb.domain.event_log import Append, Origin
from wtb.domain.execution import CheckpointSaved, RollbackUndone, RolledBack
from wtb.domain.identifiers import CheckpointId, execution_stream
from wtb.sdk import Comparison, FirstDifference, StepComparison, TestBench


class Said(TypedDict):
    notes: list[str]


def run(bench: TestBench, graph: Any, query: str = "q", **options: Any) -> str:
    return bench.run(graph, {"query": query}, **options).execution_id


def compared(bench: TestBench, a: str, b: str | None = None, **options: Any) -> Comparison:
    """`diff`, after it was seen that `first_difference` agrees with it."""
    found = bench.diff(a, b, **options)
    first = bench.first_difference(a, b, **options)
    assert found.equal == (first is None)
    if first is not None and found.different:
        assert first.what == found.different[0].differs[0]
        assert (first.a or first.b) is not None
        if first.what != "path":
            assert (first.node, first.a, first.b) == (
                found.different[0].node,
                found.different[0].a,
                found.different[0].b,
            )
    elif first is not None:
        assert (first.what, first.node) == (found.differs[0], None)
    told = json.loads(json.dumps(found.data()))
    assert told["equal"] == found.equal
    assert len(told["steps"]) == len(found.steps)
    assert found.a.execution.id in repr(found)
    assert found.b.execution.id in found._repr_html_()
    return found


def first(bench: TestBench, a: str, b: str, **options: Any) -> FirstDifference:
    found = bench.first_difference(a, b, **options)
    assert found is not None
    assert json.loads(json.dumps(found.data()))["what"] == found.what
    assert found.what in repr(found)
    return found


def path(found: Comparison) -> list[str]:
    """The steps as ``node``, ``-node`` (only in a), ``+node`` (only in b), or ``node: what differs``."""
    return [_shown(step) for step in found.steps]


def _shown(step: StepComparison) -> str:
    if step.differs == ("path",):
        return f"{'-' if step.b is None else '+'}{step.node}"
    return f"{step.node}: {', '.join(step.differs)}" if step.differs else step.node


def fails(state: Notes) -> Notes:
    raise LookupError("nothing found")


def fans(width: int, says: str = "piece") -> Any:
    builder: Any = StateGraph(Notes)
    builder.add_node("plan", lambda state: {"query": "planned"})
    builder.add_node("piece", lambda number: {"notes": [f"{says} {number}"]})
    builder.add_node("join", lambda state: {"query": "joined"})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: [Send("piece", n) for n in range(width)], ["piece"])
    builder.add_edge("piece", "join")
    return builder.compile()


def loops(times: int) -> Any:
    builder: Any = StateGraph(Notes)
    builder.add_node("again", says("again"))
    builder.add_node("end", says("end"))
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda state: "again" if len(state["notes"]) < times else "end")
    return builder.compile()


# --- alike --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "graph",
    [chain(a=says("a"), b=says("b")), beside(a=says("a"), b=says("b"), c=says("c")), fans(3), loops(4),
     chain(a=says("a"), sub=chain(b=says("b"), c=says("c"))), chain(a=says("a"), b=fails), chain(ask=asks("?"))],
    ids=["chain", "beside", "fan-out", "loop", "nested", "failed", "paused"],
)  # fmt: skip
def test_two_runs_of_the_same_are_equal(bench: TestBench, graph: Any) -> None:
    found = compared(bench, run(bench, graph), run(bench, graph))
    assert found.equal
    assert (found.differs, found.different, found.state) == ((), (), ())
    assert all(step.a and step.b and step.a.node == step.b.node for step in found.steps)
    assert not any(step.saw or step.wrote for step in found.steps)
    assert "equal" in repr(found)


def test_an_execution_is_equal_to_itself(bench: TestBench) -> None:
    one = run(bench, fans(2))
    assert compared(bench, one, one).equal


def test_nodes_that_ran_side_by_side_are_compared_in_whatever_order_they_began(bench: TestBench) -> None:
    """Task by task, nested graphs' too."""

    def two_steps(word: str) -> Any:
        builder: Any = StateGraph(Notes, output_schema=Said)
        builder.add_node("first", says(word))
        builder.add_node("second", says(word))
        builder.add_edge(START, "first")
        builder.add_edge("first", "second")
        return builder.compile()

    two = {name: two_steps(name) for name in ("left", "right")}
    found = compared(bench, run(bench, beside(**two)), run(bench, beside(**dict(reversed(two.items())))))
    assert found.equal
    nodes = ["left", "left/first", "left/second", "right", "right/first", "right/second"]
    assert sorted(step.node for step in found.steps) == nodes


# --- what differs -------------------------------------------------------------------------------------


def test_one_node_s_output_differs_and_what_follows_sees_it(bench: TestBench) -> None:
    a = run(bench, chain(a=says("a"), b=says("b"), c=says("c")))
    b = run(bench, chain(a=says("a"), b=says("other"), c=says("c")))
    found = compared(bench, a, b)
    assert path(found) == ["a", "b: writes", "c: input"]
    assert found.differs == ("state",)
    assert [str(change) for change in found.steps[1].wrote] == ['~ notes[0]: "b" → "other"']
    assert found.steps[1].saw == ()
    assert [str(change) for change in found.steps[2].saw] == ['~ notes[1]: "b" → "other"']
    assert found.steps[2].wrote == ()
    assert [(c.path, c.before, c.after) for c in found.state] == [("notes[1]", "b", "other")]
    known = first(bench, a, b)
    assert (known.what, known.node) == ("writes", "b")
    assert known.wrote[0]["notes"] == ["b"]
    assert known.wrote[1]["notes"] == ["other"]
    assert known.positions == (bench.steps(a)[1].position, bench.steps(b)[1].position)
    assert [str(change) for change in known.changes] == ['~ notes[0]: "b" → "other"']


def test_another_input_is_seen_by_the_first_node(bench: TestBench) -> None:
    a, b = run(bench, chain(a=says("a"), b=says("b")), "one"), run(bench, chain(a=says("a"), b=says("b")), "two")
    assert path(compared(bench, a, b)) == ["a: input", "b: input"]
    known = first(bench, a, b)
    assert (known.what, known.node) == ("input", "a")
    assert [str(change) for change in known.changes] == ['~ query: "one" → "two"']


def test_loops_of_other_length_are_alike_as_long_as_both_go_on(bench: TestBench) -> None:
    a, b = run(bench, loops(2)), run(bench, loops(4))
    assert path(compared(bench, a, b)) == ["again", "again: writes", "+again", "+again", "end: input"]
    assert first(bench, a, b).what == "writes"


def test_a_fan_out_of_other_width_has_more_visits(bench: TestBench) -> None:
    a, b = run(bench, fans(2)), run(bench, fans(4))
    assert path(compared(bench, a, b)) == ["plan: writes", "piece", "piece", "+piece", "+piece", "join: input"]
    assert path(compared(bench, b, a)) == ["plan: writes", "piece", "piece", "-piece", "-piece", "join: input"]


def test_what_a_node_was_sent_is_what_it_saw(bench: TestBench) -> None:
    def sends(*numbers: int) -> Any:
        builder: Any = StateGraph(Notes)
        builder.add_node("piece", lambda number: {"notes": ["piece"]})
        builder.add_conditional_edges(START, lambda state: [Send("piece", n) for n in numbers], ["piece"])
        return builder.compile()

    a, b = run(bench, sends(1, 2, 3)), run(bench, sends(1, 9, 3))
    found = compared(bench, a, b)
    assert path(found) == ["piece", "piece: input", "piece"]
    assert [str(change) for change in found.steps[1].saw] == ["~ Send.arg: 2 → 9"]


def test_nodes_of_nested_graphs_are_named_by_their_paths(bench: TestBench) -> None:
    def nested(word: str) -> Any:
        return chain(a=says("a"), sub=chain(b=says("b"), c=says(word)), d=says("d"))

    a, b = run(bench, nested("c")), run(bench, nested("other"))
    assert path(compared(bench, a, b)) == ["a", "sub: writes", "sub/b", "sub/c: writes", "d: input"]
    more = run(bench, chain(a=says("a"), sub=chain(b=says("b"), x=says("x"), c=says("c")), d=says("d")))
    assert path(compared(bench, a, more)) == ["a", "sub: writes", "sub/b: writes", "+sub/x", "sub/c: input", "d: input"]


def test_another_way_taken_is_a_difference_of_the_path(bench: TestBench) -> None:
    a = run(bench, chain(a=says("a"), b=says("x"), d=says("d")))
    b = run(bench, chain(a=says("a"), c=says("x"), d=says("d")))
    found = compared(bench, a, b)
    assert path(found) == ["a: writes", "-b", "+c", "d"]
    assert found.state == ()
    known = first(bench, a, b)
    assert [str(change) for change in known.changes] == ["- branch:to:b: null", "+ branch:to:c: null"]


def test_a_failed_and_a_completed_execution(bench: TestBench) -> None:
    a, b = run(bench, chain(a=says("a"), b=fails)), run(bench, chain(a=says("a"), b=says("b")))
    found = compared(bench, a, b)
    assert path(found) == ["a", "b: error, writes, status"]
    assert found.differs == ("status", "error", "state")
    assert (found.a.status, found.b.status) == ("failed", "completed")
    assert "LookupError: nothing found" in repr(found)
    assert first(bench, a, b).what == "error"


def test_attempts_are_counted(bench: TestBench) -> None:
    def flaky(failures: int) -> Any:
        left = [LookupError("not yet")] * failures

        def node(state: Notes) -> Notes:
            if left:
                raise left.pop()
            return {"notes": ["done"]}

        builder: Any = StateGraph(Notes)
        builder.add_node("node", node, retry_policy=RetryPolicy(0.001, max_attempts=3, retry_on=LookupError))
        builder.add_edge(START, "node")
        return builder.compile()

    a, b, c = run(bench, flaky(0)), run(bench, flaky(1)), run(bench, flaky(2))
    found = compared(bench, a, b)
    assert path(found) == ["node: error, attempts"]
    assert found.steps[0].tries == (1, 2)
    assert found.differs == ()
    assert path(compared(bench, b, c)) == ["node: error, attempts"]


def test_variants_are_shown_and_what_they_do_is_compared(bench: TestBench) -> None:
    bench.project.variant("b", "same", says("b"))
    bench.project.variant("b", "short", says("short"))
    graph = chain(a=says("a"), b=says("b"))
    plain, same, short = (run(bench, graph, variants=chosen) for chosen in ({}, {"b": "same"}, {"b": "short"}))
    alike = compared(bench, plain, same)
    assert alike.equal
    assert (alike.steps[1].a.variant, alike.steps[1].b.variant) == (None, "same")  # type: ignore[union-attr]
    found = compared(bench, same, short)
    assert path(found) == ["a", "b: writes"]
    assert found.b.execution.variants == {"b": "short"}
    assert "same → short" in repr(found)


def test_other_answers_make_other_writes(bench: TestBench) -> None:
    graph = chain(ask=asks("?"), b=says("b"))
    a, b = run(bench, graph), run(bench, graph)
    assert compared(bench, a, b).equal
    bench.resume(a, "yes")
    assert path(compared(bench, a, b)) == ["ask: attempts, writes, status", "-b"]
    bench.resume(b, "no")
    found = compared(bench, a, b)
    assert path(found) == ["ask: writes", "b: input"]
    assert '~ notes[0]: "yes" → "no"' in [str(change) for change in found.steps[0].wrote]


def test_a_state_that_was_changed_from_outside_is_found_though_no_step_differs(bench: TestBench) -> None:
    graph = chain(a=says("a"))
    a, b = run(bench, graph), run(bench, graph)
    given(bench, b, lambda saved: [saved[-1].model_copy(update={
        "checkpoint": CheckpointId("f" * 36), "source": "update",
        "channels": {**saved[-1].channels, "query": saved[-1].channels["notes"]},
    })])  # fmt: skip
    found = compared(bench, a, b)
    assert path(found) == ["a"]
    assert found.differs == ("state",)
    known = first(bench, a, b)
    assert (known.what, known.node, known.positions) == ("state", None, (None, None))
    assert [change.path for change in known.changes] == ["query"]


# --- one execution at two checkpoints -----------------------------------------------------------------


def test_one_execution_at_two_checkpoints(bench: TestBench) -> None:
    one = run(bench, chain(a=says("a"), b=says("b"), c=says("c")))
    after_c, after_b, after_a, before_a, _ = bench.checkpoints(one)
    found = compared(bench, one, at_a=after_a.id, at_b=after_c.id)
    assert path(found) == ["a", "+b", "+c"]
    assert (found.a.checkpoint, found.a.step, found.b.step) == (after_a.id, 1, 3)
    assert [str(change) for change in found.state] == ['+ notes[1]: "b"', '+ notes[2]: "c"']
    assert path(compared(bench, one, at_a=after_b.id)) == ["a", "b", "+c"]
    assert path(compared(bench, one, one, at_b=before_a.id)) == ["-a", "-b", "-c"]
    assert compared(bench, one, at_a=after_b.id, at_b=after_b.id).equal
    assert compared(bench, one, at_a=after_c.id).equal


def test_a_checkpoint_of_a_nested_graph(bench: TestBench) -> None:
    one = run(bench, chain(a=says("a"), sub=chain(b=says("b"), c=says("c"))))
    inside = [c for c in bench.checkpoints(one) if c.namespace]
    found = compared(bench, one, at_a=inside[1].id, at_b=inside[0].id)
    assert path(found) == ["a", "sub", "sub/b", "+sub/c"]
    assert [str(change) for change in found.state] == ['+ notes[2]: "c"']


def test_what_can_t_be_compared_is_refused(bench: TestBench) -> None:
    one = run(bench, chain(a=says("a")))
    for ask in (bench.diff, bench.first_difference):
        with pytest.raises(InvalidRequest) as refusal:
            ask(one)
        assert refusal.value.hint
        for unknown in ("unknown", "a\0b"):
            with pytest.raises(ExecutionNotFound):
                ask(one, unknown)
            with pytest.raises(ExecutionNotFound):
                ask(unknown, one)
            with pytest.raises(CheckpointNotFound):
                ask(one, at_a=unknown)


# --- travellers ---------------------------------------------------------------------------------------


def given(bench: TestBench, execution: str, made: Any) -> None:
    """Append facts made of the outermost graph's checkpoints."""
    store, stream = bench.platform.store, execution_stream(execution)
    saved = [e.fact for e in store.read(stream) if isinstance(e.fact, CheckpointSaved) and not e.fact.namespace]
    head, facts = store.head(stream), made(saved)
    store.append([Append(stream, head, facts, [head.version] * len(facts), Origin("ada"))])


def test_what_ran_after_a_rollback_s_target_is_no_part_of_the_path(bench: TestBench) -> None:
    one, other = (run(bench, chain(a=says("a"), b=says("b"), sub=chain(c=says("c")))) for _ in range(2))
    copy = CheckpointId("f" * 36)

    def rolled_back(saved: list[CheckpointSaved]) -> list[object]:
        target = saved[2]
        fork = target.model_copy(update={"checkpoint": copy, "parent": target.checkpoint, "source": "fork"})
        return [fork, RolledBack(to=target.checkpoint, head=copy, left=saved[-1].checkpoint)]

    given(bench, one, rolled_back)
    found = compared(bench, one, other)
    assert path(found) == ["a", "+b", "+sub", "+sub/c"]
    assert found.a.checkpoint == copy
    left = bench.checkpoints(other, namespace="").items[0].id
    mine = next(c for c in bench.checkpoints(one, namespace="") if c.step == 3)
    assert compared(bench, one, other, at_a=mine.id, at_b=left).equal
    given(bench, one, lambda saved: [RollbackUndone(head=saved[-2].checkpoint)])
    assert path(compared(bench, one, other)) == ["a", "b", "sub", "sub/c"]


def test_a_rolled_back_execution_is_compared_by_the_branch_it_runs_on(bench: TestBench) -> None:
    graph = chain(a=says("a"), ask=asks("?"), b=says("b"))
    one, other = run(bench, graph), run(bench, graph)
    for each in (one, other):
        bench.resume(each, "yes")
    bench.rollback(one, node="ask")
    assert path(compared(bench, one, other)) == ["a", "+ask", "+b"]
    bench.resume(one)
    bench.resume(one, "no")
    assert path(compared(bench, one, other)) == ["a", "ask: writes", "b: input"]
    bench.rollback(one, node="ask")
    bench.undo_rollback(one)
    assert path(compared(bench, one, other)) == ["a", "ask: writes", "b: input"]


def test_a_fork_s_path_begins_with_what_its_ancestors_did_before_it(bench: TestBench) -> None:
    graph = chain(a=says("a"), b=says("b"), sub=chain(c=says("c")), d=says("d"))
    bench.project.variant("b", "other", says("other"))
    one = run(bench, graph)
    same = bench.fork(one, step=1).execution_id
    assert compared(bench, one, same).equal
    varied = bench.fork(one, step=1, variants={"b": "other"}).execution_id
    rest = ["b: writes", "sub: input, writes", "sub/c: input", "d: input"]
    assert path(compared(bench, one, varied)) == ["a", *rest]
    assert first(bench, one, varied).node == "b"
    child = bench.fork(varied, step=3).execution_id
    assert compared(bench, varied, child).equal
    assert [step.b.execution for step in compared(bench, one, child).steps if step.b] == [  # whose it was
        one, varied, varied, varied, child,
    ]  # fmt: skip


def test_a_fork_with_another_state_differs_in_what_the_next_node_sees(bench: TestBench) -> None:
    one = run(bench, chain(a=says("a"), b=says("b")))
    fork = bench.fork(one, step=1, state={"query": "changed"}).execution_id
    assert path(compared(bench, one, fork)) == ["a", "b: input"]
    known = first(bench, one, fork)
    assert [str(change) for change in known.changes] == ['~ query: "q" → "changed"']


def test_an_edit_differs_in_what_the_next_node_sees(bench: TestBench) -> None:
    graph = chain(a=says("a"), ask=asks("?"))
    one, other = run(bench, graph), run(bench, graph)
    bench.edit(one, {"query": "changed"}, as_node="a")
    for each in (one, other):
        if not bench.execution(each).waiting:
            bench.resume(each)
        bench.resume(each, "yes")
    found = compared(bench, one, other)
    assert path(found) == ["a", "ask: input"]
    assert [change.path for change in found.state] == ["query"]


# --- values -------------------------------------------------------------------------------------------


class Chat(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    profile: Any


class Profile(BaseModel):
    name: str
    tags: set[str] = set()


def talks(*answers: str, profile: Any = None) -> Any:
    """A chat whose messages get random ids."""
    builder: Any = StateGraph(Chat)
    before = START
    for number, answer in enumerate(answers):
        builder.add_node(f"say{number}", lambda state, answer=answer: {"messages": [AIMessage(answer)]})
        builder.add_edge(before, f"say{number}")
        before = f"say{number}"
    builder.add_node("profile", lambda state: {"profile": profile})
    builder.add_edge(before, "profile")
    builder.add_edge("profile", END)
    return builder.compile()


def chat(bench: TestBench, graph: Any, question: str = "hello") -> str:
    return bench.run(graph, {"messages": [HumanMessage(question)]}).execution_id


def test_messages_that_differ_in_their_ids_alone_are_equal_unless_exactness_is_asked_for(bench: TestBench) -> None:
    long = "x" * 1000
    a, b = chat(bench, talks("one", long)), chat(bench, talks("one", long))
    assert compared(bench, a, b).equal
    exact = compared(bench, a, b, exact=True)
    assert not exact.equal
    assert {change.path for change in exact.state} == {f"messages[{place}].id" for place in range(3)}


def test_of_a_long_conversation_only_the_other_message_is_told(bench: TestBench) -> None:
    words = [f"{number} " + "x" * 600 for number in range(90)]
    other = [*words[:40], "something else " + "y" * 600, *words[41:]]
    a, b = chat(bench, talks(*words)), chat(bench, talks(*other))
    found = compared(bench, a, b)
    assert [change.path for change in found.state] == ["messages[41].content"]
    assert [step.node for step in found.different if "writes" in step.differs] == ["say40"]
    assert [change.path for change in found.steps[60].saw] == ["messages[41].content"]
    assert first(bench, a, b).node == "say40"


def test_objects_are_compared_field_by_field_and_need_not_be_built(bench: TestBench) -> None:
    one, two = Profile(name="Ada", tags={"x", "y"}), Profile(name="Ada", tags={"y", "z"})
    a, b = chat(bench, talks("a", profile=one)), chat(bench, talks("a", profile=two))
    found = compared(bench, a, b)
    assert [str(change) for change in found.state] == [
        '- profile.tags.values[0]: "x"', '+ profile.tags.values[1]: "z"',
    ]  # fmt: skip


def test_long_texts_are_told_as_a_unified_diff(bench: TestBench) -> None:
    lines = [f"line {number}" for number in range(100)]
    a = chat(bench, talks("a", profile="\n".join(lines)))
    b = chat(bench, talks("a", profile="\n".join([*lines[:50], "another", *lines[51:]])))
    found = compared(bench, a, b)
    [change] = found.state
    assert change.text is not None
    assert change.text.splitlines()[3:] == [" line 48", " line 49", "-line 50", "+another", " line 51", " line 52"]
    assert "+another" in repr(found)


def test_a_value_that_is_gone_is_missed_by_name(quick_bench: TestBench) -> None:
    a, b = run(quick_bench, chain(a=says("a"))), run(quick_bench, chain(a=says("b")))
    recorder: Any = quick_bench.platform.store._recorder
    recorder._writer.execute("DELETE FROM wtb_values")
    with pytest.raises(ValueMissing):
        quick_bench.diff(a, b)
