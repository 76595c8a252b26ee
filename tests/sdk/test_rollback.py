"""The head moves back and forth again, the state is edited, failed nodes are retried or skipped: all by facts."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from typing_extensions import TypedDict

from tests.sdk.given import Notes, asks, beside, chain, says, started, types
from tests.sdk.processes import die, dies
from wtb.domain.errors import (
    CheckpointNotFound,
    ExecutionNotFound,
    ExecutionTaken,
    InvalidRequest,
    InvalidState,
    NodeNotFound,
    NothingToUndo,
    ValueMissing,
    VariantNotFound,
    WrongStatus,
    WtbError,
)
from wtb.domain.execution import ExecutionRetried, NodeSkipped, RolledBack, StateEdited
from wtb.domain.identifiers import ExecutionId
from wtb.sdk import RunResult, TestBench, WorkflowProject, beginnings
from wtb.sdk.questions import waiting

ABC: dict[str, Any] = {name: says(name) for name in "abc"}


def since(bench: TestBench, result: RunResult) -> list[str]:
    """The nodes that were started after a run."""
    return started(bench.events(result.execution_id, after=result.position))


class Flaky:
    """A node that fails until it is mended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.broken = True

    def __call__(self, state: Notes) -> Notes:
        if self.broken:
            raise ValueError(self.name)
        return {"notes": [self.name]}


# --- roll back and undo -----------------------------------------------------------------------------------


def test_an_execution_runs_on_from_where_it_was_rolled_back_to(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    rolled = bench.rollback(whole.execution_id, node="b", reason="again", actor="ada")
    assert (rolled.status, rolled.ended_at) == ("paused", None)
    assert bench.state(whole.execution_id)["notes"] == ["a"]
    done = bench.resume(whole.execution_id)
    assert (done.state, since(bench, whole)) == (whole.state, ["b", "c"])
    fact = next(e for e in bench.events(whole.execution_id) if isinstance(e.fact, RolledBack))
    assert isinstance(fact.fact, RolledBack)
    assert (fact.actor, fact.fact.reason) == ("ada", "again")


def test_nothing_is_erased_and_branches_are_known(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    before = bench.events(whole.execution_id)
    end = bench.checkpoints(whole.execution_id)[0]
    bench.rollback(whole.execution_id, step=1)
    bench.resume(whole.execution_id)
    assert bench.events(whole.execution_id)[: len(before)] == before
    assert bench.state(whole.execution_id, at=end.id)["notes"] == ["a", "b", "c"]
    found = bench.lineage(whole.execution_id)
    assert [b.step for b in found.branches] == [3, 3]
    assert (found.branches[1].id, found.head) == (end.id, found.branches[0].id)


@pytest.mark.parametrize("nested", [False, True])
def test_a_rollback_is_undone_with_its_status_and_its_questions(bench: TestBench, nested: bool) -> None:
    inside = chain(a=says("a"), ask=asks("?"), c=says("c"))
    paused = bench.run(chain(sub=inside, d=says("d")) if nested else inside, {"query": "q"})
    before, head = bench.execution(paused.execution_id), bench.lineage(paused.execution_id).head
    bench.rollback(paused.execution_id, step=0)
    assert bench.execution(paused.execution_id).waiting == ()
    undone = bench.undo_rollback(paused.execution_id)
    assert (undone.status, undone.waiting) == ("paused", before.waiting)
    assert bench.lineage(paused.execution_id).head == head
    assert bench.resume(paused.execution_id, "yes").state["notes"] == ["a", "yes", "c", *(["d"] if nested else [])]


def test_rollbacks_that_follow_one_another_are_undone_at_once(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    states = []
    for step in (2, 1, 2, 0):
        bench.rollback(whole.execution_id, step=step)
        states.append(bench.state(whole.execution_id).get("notes"))
    assert states == [["a", "b"], ["a"], ["a", "b"], []]
    assert bench.undo_rollback(whole.execution_id).status == "completed"
    assert bench.state(whole.execution_id)["notes"] == ["a", "b", "c"]
    before = bench.platform.store.last_position()
    assert bench.undo_rollback(whole.execution_id).status == "completed"
    assert bench.platform.store.last_position() == before
    bench.edit(whole.execution_id, {"query": "p"})
    with pytest.raises(NothingToUndo):
        bench.undo_rollback(whole.execution_id)


def test_a_rollback_that_is_asked_for_twice_is_made_once(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    at = bench.checkpoints(whole.execution_id)[1].id
    once = bench.rollback(whole.execution_id, at)
    assert bench.rollback(whole.execution_id, at) == once


def test_a_nested_graph_is_rolled_back_inside(bench: TestBench) -> None:
    whole = bench.run(chain(a=says("a"), sub=chain(one=says("one"), two=says("two")), c=says("c")), {"query": "q"})
    bench.rollback(whole.execution_id, node="sub/two")
    done = bench.resume(whole.execution_id)
    assert (done.state, since(bench, whole)) == (whole.state, ["sub", "sub/two", "c"])


def test_a_failed_execution_may_be_rolled_back_too(bench: TestBench) -> None:
    b = Flaky("b")
    failed = bench.run(chain(a=says("a"), b=b, c=says("c")), {"query": "q"})
    bench.rollback(failed.execution_id, step=0)
    b.broken = False
    assert bench.resume(failed.execution_id).state["notes"] == ["a", "b", "c"]
    assert since(bench, failed) == ["a", "b", "c"]


# --- edit -------------------------------------------------------------------------------------------------


def test_an_edit_is_a_fact_and_what_follows_its_node_runs_next(bench: TestBench) -> None:
    paused = bench.run(chain(a=says("a"), ask=asks("?"), c=says("c")), {"query": "q"})
    edited = bench.edit(
        paused.execution_id, {"query": "p", "notes": ["given"]}, as_node="ask", reason="known", actor="ada"
    )
    assert (edited["query"], edited["notes"]) == ("p", ["a", "given"])
    row = bench.execution(paused.execution_id)
    assert (row.status, row.waiting) == ("paused", ())
    assert bench.resume(paused.execution_id).state["notes"] == ["a", "given", "c"]
    event = next(e for e in bench.events(paused.execution_id) if isinstance(e.fact, StateEdited))
    assert isinstance(event.fact, StateEdited)
    assert (event.actor, event.fact.reason, event.fact.as_node) == ("ada", "known", "ask")
    assert event.fact.checkpoint == edited.checkpoint


def test_an_ended_execution_goes_on_after_an_edit(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    bench.edit(whole.execution_id, {"notes": ["more"]}, as_node="b")
    assert bench.resume(whole.execution_id).state["notes"] == ["a", "b", "c", "more", "c"]


def test_an_edit_inside_a_nested_graph(bench: TestBench) -> None:
    paused = bench.run(chain(sub=chain(a=says("a"), ask=asks("?"), c=says("c"))), {"query": "q"})
    bench.edit(paused.execution_id, {"notes": ["given"]}, as_node="sub/ask")
    assert bench.resume(paused.execution_id).state["notes"] == ["a", "given", "c"]


def test_an_edit_keeps_the_work_of_siblings_that_had_finished(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    for name, node in (("a", says("a")), ("ask", asks("?")), ("end", says("end"))):
        builder.add_node(name, node)
    builder.add_edge(START, "a")
    builder.add_edge(START, "ask")
    builder.add_edge(["a", "ask"], "end")
    paused = bench.run(builder.compile(), {"query": "q"})
    with pytest.raises(InvalidState, match="side by side"):
        bench.edit(paused.execution_id, {"notes": ["given"]})
    bench.edit(paused.execution_id, {"notes": ["given"]}, as_node="ask")
    assert sorted(bench.resume(paused.execution_id).state["notes"]) == ["a", "end", "given"]


# --- retry, skip ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True], ids=["retry", "aretry"])
async def test_a_failed_execution_goes_on_from_its_failed_node(bench: TestBench, asynchronous: bool) -> None:
    b = Flaky("b")
    failed = bench.run(chain(a=says("a"), b=b, c=says("c")), {"query": "q"})
    b.broken = False
    done = (
        await bench.aretry(failed.execution_id) if asynchronous else bench.retry(failed.execution_id, reason="mended")
    )
    assert (done.status, done.state["notes"], since(bench, failed)) == ("completed", ["a", "b", "c"], ["b", "c"])
    assert "ExecutionRetried" in types(bench.events(failed.execution_id))


def test_siblings_that_had_finished_do_not_run_again(bench: TestBench) -> None:
    b = Flaky("b")
    failed = bench.run(chain(x=beside(a=says("a"), b=b), c=says("c")), {"query": "q"})
    b.broken = False
    assert sorted(bench.retry(failed.execution_id).state["notes"]) == ["a", "b", "c"]
    assert since(bench, failed) == ["x", "x/b", "c"]


def test_an_answer_outlives_the_failure_that_followed(bench: TestBench) -> None:
    broken = [True]

    def ask(state: Notes) -> Notes:
        answer = asks("?")(state)
        if broken:
            raise ValueError("after the answer")
        return answer  # type: ignore[no-any-return]

    paused = bench.run(chain(ask=ask), {"query": "q"})
    failed = bench.resume(paused.execution_id, "yes")
    assert failed.status == "failed"
    broken.clear()
    assert bench.retry(failed.execution_id).state["notes"] == ["yes"]


def test_it_may_fail_and_be_retried_again_and_again(bench: TestBench) -> None:
    b = Flaky("b")
    failed = bench.run(chain(b=b), {"query": "q"})
    for _ in range(3):
        assert bench.retry(failed.execution_id).status == "failed"
    assert [s.status for s in bench.steps(failed.execution_id)] == ["failed"] * 4


def test_a_failed_node_is_passed_by_with_what_it_should_have_written(bench: TestBench) -> None:
    failed = bench.run(chain(a=says("a"), b=Flaky("b"), c=says("c")), {"query": "q"})
    done = bench.skip(failed.execution_id, "b", {"notes": ["by hand"]}, reason="hopeless", actor="ada")
    assert (done.status, done.state["notes"]) == ("completed", ["a", "by hand", "c"])
    assert [(s.node, s.variant) for s in bench.steps(done.execution_id)][2:] == [("b", "(skipped)"), ("c", None)]
    event = next(e for e in bench.events(done.execution_id) if isinstance(e.fact, NodeSkipped))
    assert isinstance(event.fact, NodeSkipped)
    assert (event.actor, event.fact.reason, event.fact.node) == ("ada", "hopeless", "b")


def test_a_question_is_passed_by_and_so_is_a_whole_nested_graph(bench: TestBench) -> None:
    graph = chain(sub=chain(a=says("a"), ask=asks("?")), c=says("c"))
    paused = bench.run(graph, {"query": "q"})
    assert bench.skip(paused.execution_id, "sub/ask", {"notes": ["x"]}).state["notes"] == ["a", "x", "c"]
    other = bench.run(graph, {"query": "q"})
    assert bench.skip(other.execution_id, "sub", {"notes": ["y"]}).state["notes"] == ["y", "c"]
    third = bench.run(graph, {"query": "q"})
    assert bench.skip(third.execution_id, "sub").state["notes"] == ["c"]


def test_a_node_is_passed_by_once_not_for_ever(bench: TestBench) -> None:
    again = Flaky("again")
    builder: Any = StateGraph(Notes)
    builder.add_node("again", again)
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda state: "again" if len(state["notes"]) < 2 else "__end__")
    failed = bench.run(builder.compile(), {"notes": []})
    still = bench.skip(failed.execution_id, "again", {"notes": ["given"]})
    assert (still.status, still.state["notes"]) == ("failed", ["given"])
    again.broken = False
    assert bench.retry(failed.execution_id).state["notes"] == ["given", "again"]


def dies_after_b() -> Any:
    return chain(a=says("a"), b=Flaky("b"), c=die)


def skips_and_dies(project: WorkflowProject) -> None:
    bench = TestBench(project)
    bench.run(dies_after_b(), {"query": "q"}, execution_id="x")
    bench.skip("x", "b", {"notes": ["given"]})


def skips_and_dies_before_b(project: WorkflowProject) -> None:
    """As if the process died between the claim and the node."""
    bench = TestBench(project)
    bench.run(dies_after_b(), {"query": "q"}, execution_id="x")
    beginnings.skip(bench.platform, ExecutionId("x"), bench._request("skip"), "b", {"notes": ["given"]}, "")
    die(None)


@pytest.mark.parametrize("process", [skips_and_dies, skips_and_dies_before_b])
def test_a_skip_outlives_the_process_that_made_it(
    project: WorkflowProject, bench: TestBench, process: Callable[[WorkflowProject], None]
) -> None:
    dies(process, project)
    (recovered,) = bench.recover("x", graph=chain(a=says("a"), b=Flaky("b"), c=says("c"))).results
    assert recovered.state["notes"] == ["a", "given", "c"]
    assert [(s.node, s.variant) for s in bench.steps("x")].count(("b", "(skipped)")) == 1


# --- one node -----------------------------------------------------------------------------------------------


def test_one_node_runs_on_a_recorded_state_and_the_execution_stays_as_it_is(bench: TestBench) -> None:
    bench.project.variant("b", "loud", lambda state: {"notes": [state["query"].upper(), *state["notes"]]})
    whole = bench.run(chain(a=says("a"), b=lambda state: {"notes": [state["query"]]}), {"query": "q"})
    position = bench.platform.store.last_position()
    assert bench.run_node(whole.execution_id, "b").writes == {"notes": ["q"]}
    assert bench.run_node(whole.execution_id, "b", state={"query": "p"}).writes == {"notes": ["p"]}
    loud = bench.run_node(whole.execution_id, "b", variant="loud")
    assert (loud.writes, loud.variant) == ({"notes": ["Q", "a"]}, "loud")
    assert bench.run_node(whole.execution_id, "b", variant=says("given")).writes == {"notes": ["given"]}
    first = bench.checkpoints(whole.execution_id)[-2].id
    assert bench.run_node(whole.execution_id, "b", at=first, variant="loud").writes == {"notes": ["Q"]}
    assert bench.platform.store.last_position() == position


def test_one_nodes_failure_and_question_are_its_outcome(bench: TestBench) -> None:
    failed = bench.run(chain(b=Flaky("b")), {"query": "q"})
    error = bench.run_node(failed.execution_id, "b").error
    assert error is not None
    assert (error.type, error.message) == ("ValueError", "b")
    paused = bench.run(chain(ask=asks("?")), {"query": "q"})
    asked = bench.run_node(paused.execution_id, "ask")
    assert ([i.value for i in asked.interrupts], asked.writes) == (["?"], {})


def test_one_node_gets_what_was_sent_to_it_and_may_be_nested_or_a_graph(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("piece", lambda given: {"notes": [given]})
    builder.add_conditional_edges(START, lambda _: [Send("piece", letter) for letter in "xyz"], ["piece"])
    sent = bench.run(builder.compile(), {"query": "q"})
    assert bench.run_node(sent.execution_id, "piece").writes["notes"][0] in "xyz"
    nested = bench.run(chain(sub=chain(one=says("one"), two=says("two"))), {"query": "q"})
    assert bench.run_node(nested.execution_id, "sub/two").writes == {"notes": ["two"]}
    assert bench.run_node(nested.execution_id, "sub").writes["notes"] == ["one", "two"]


async def test_one_coroutine_runs_from_a_busy_loop(bench: TestBench) -> None:
    async def node(state: Notes) -> Notes:
        return {"notes": ["slow"]}

    whole = await bench.arun(chain(a=node), {"query": "q"})
    assert bench.run_node(whole.execution_id, "a").writes == {"notes": ["slow"]}


# --- refusals -------------------------------------------------------------------------------------------------

Verb = Callable[[TestBench, str], object]

REFUSED: list[tuple[type[WtbError], Verb]] = [
    (CheckpointNotFound, lambda b, id: b.rollback(id, "nowhere")),
    (NodeNotFound, lambda b, id: b.rollback(id, node="z")),
    (NothingToUndo, lambda b, id: b.undo_rollback(id)),
    (InvalidState, lambda b, id: b.edit(id, {"nowhere": 1})),
    (NodeNotFound, lambda b, id: b.edit(id, {"notes": ["x"]}, as_node="z")),
    (NodeNotFound, lambda b, id: b.edit(id, {"notes": ["x"]}, as_node="z/y")),
    (WrongStatus, lambda b, id: b.retry(id)),
    (WrongStatus, lambda b, id: b.skip(id, "a")),
    (NodeNotFound, lambda b, id: b.run_node(id, "z")),
    (CheckpointNotFound, lambda b, id: b.run_node(id, "a", at="nowhere")),
    (VariantNotFound, lambda b, id: b.run_node(id, "a", variant="unheard of")),
    (InvalidState, lambda b, id: b.run_node(id, "a", state={"nowhere": 1})),
]

EVERY: list[Verb] = [
    lambda b, id: b.rollback(id),
    lambda b, id: b.undo_rollback(id),
    lambda b, id: b.edit(id, {"notes": []}),
    lambda b, id: b.retry(id),
    lambda b, id: b.skip(id, "a"),
    lambda b, id: b.run_node(id, "a"),
    lambda b, id: b.fork(id),
    lambda b, id: b.lineage(id),
]


def test_a_refusal_changes_nothing(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    before = bench.platform.store.last_position()
    for refusal, verb in REFUSED:
        with pytest.raises(refusal):
            verb(bench, whole.execution_id)
    for verb in EVERY:
        with pytest.raises(ExecutionNotFound):
            verb(bench, "unheard of")
    assert bench.platform.store.last_position() == before
    assert bench.execution(whole.execution_id).status == "completed"


def test_only_a_node_that_waits_to_run_is_skipped(bench: TestBench) -> None:
    failed = bench.run(chain(a=says("a"), b=Flaky("b"), c=says("c")), {"query": "q"})
    for node in ("a", "c", "z"):
        with pytest.raises(NodeNotFound, match="; b does"):
            bench.skip(failed.execution_id, node)
    with pytest.raises(InvalidState):
        bench.skip(failed.execution_id, "b", {"nowhere": 1})
    assert bench.execution(failed.execution_id).status == "failed"


def test_what_runs_is_left_alone(bench: TestBench) -> None:
    refused: list[str] = []

    def meddles(state: Notes) -> Notes:
        for verb in EVERY[:5]:
            with pytest.raises(ExecutionTaken):
                verb(bench, "x")
            refused.append("x")
        assert bench.fork("x", graph=chain(a=says("fork")), run=False).status == "paused"
        return {"notes": ["done"]}

    assert bench.run(chain(a=meddles), {"query": "q"}, execution_id="x").state["notes"] == ["done"]
    assert len(refused) == 5


def test_each_act_says_who_did_it_and_why(bench: TestBench) -> None:
    b = Flaky("b")
    failed = bench.run(chain(b=b), {"query": "q"})
    bench.retry(failed.execution_id, reason="perhaps", actor="ada")
    bench.rollback(failed.execution_id, reason="back", actor="bob")
    bench.undo_rollback(failed.execution_id, reason="forth", actor="cyd")
    acts = [e for e in bench.events(failed.execution_id) if getattr(e.fact, "reason", "")]
    assert [(e.type, e.actor, e.cause) for e in acts] == [
        ("ExecutionRetried", "ada", "retry"),
        ("RolledBack", "bob", "rollback"),
        ("RollbackUndone", "cyd", "undo_rollback"),
    ]
    assert isinstance(acts[0].fact, ExecutionRetried)


# --- what a reducer can't take, what was erased, what stands beside it ----------------------------------------


def test_what_a_reducer_can_not_take_is_refused_and_changes_nothing(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    for name, node in (("a", says("a")), ("bad", Flaky("bad")), ("ask", asks("?"))):
        builder.add_node(name, node)
        builder.add_edge(START, name)
    failed = bench.run(builder.compile(), {"query": "q"})
    paused = bench.run(chain(ask=asks("?"), c=says("c")), {"query": "q"})
    for execution, verb in (
        (failed, lambda id: bench.edit(id, {"notes": 5}, as_node="bad")),
        (failed, lambda id: bench.edit(id, {"notes": ["x"]}, as_node="z")),
        (failed, lambda id: bench.edit(id, 5)),  # type: ignore[arg-type]
        (failed, lambda id: bench.skip(id, "bad", {"notes": 5})),
        (paused, lambda id: bench.skip(id, "ask", {"notes": 5})),
        (paused, lambda id: bench.skip(id, "ask", 5)),  # type: ignore[arg-type]
    ):
        before = bench.events(execution.execution_id)
        with pytest.raises((InvalidState, NodeNotFound)):
            verb(execution.execution_id)
        assert bench.events(execution.execution_id) == before
    assert bench.resume(paused.execution_id, "yes").state["notes"] == ["yes", "c"]


def test_a_node_that_writes_what_its_reducer_can_not_take_fails_the_execution(bench: TestBench) -> None:
    failed = bench.run(chain(a=says("a"), b=lambda state: {"notes": 5}), {"query": "q"})
    assert failed.error is not None
    assert (failed.status, failed.error.type, failed.state["notes"]) == ("failed", "TypeError", ["a"])
    assert bench.retry(failed.execution_id).status == "failed"
    bench.rollback(failed.execution_id, node="b")
    bench.register(chain(a=says("a"), b=says("b")), workflow="notes")
    assert bench.resume(failed.execution_id).state["notes"] == ["a", "b"]


def test_what_was_rolled_back_or_edited_asks_nothing_until_it_runs(bench: TestBench) -> None:
    paused = bench.run(chain(a=says("a"), ask=asks("?")), {"query": "q"})
    assert [i.value for i in waiting(bench, paused.execution_id)] == ["?"]
    bench.rollback(paused.execution_id, step=1)
    assert waiting(bench, paused.execution_id) == ()
    bench.undo_rollback(paused.execution_id)
    assert [i.value for i in waiting(bench, paused.execution_id)] == ["?"]
    bench.edit(paused.execution_id, {"query": "p"})
    assert waiting(bench, paused.execution_id) == ()


def test_what_was_erased_can_not_be_brought_back_to_life(bench: TestBench) -> None:
    paused = bench.run(chain(a=says("a" * 2000), ask=asks("?")), {"query": "q"})
    failed = bench.run(chain(a=says("b" * 2000), b=Flaky("b")), {"query": "q"})
    bench.erase([paused.execution_id, failed.execution_id], reason="asked for")
    verbs: list[Callable[[], object]] = [
        lambda: bench.resume(paused.execution_id, "yes"),
        lambda: bench.rollback(paused.execution_id, step=1),
        lambda: bench.fork(paused.execution_id, step=1),
        lambda: bench.retry(failed.execution_id),
        lambda: bench.skip(failed.execution_id, "b"),
    ]
    before = bench.platform.store.last_position()
    for verb in verbs:
        with pytest.raises(ValueMissing, match="erased"):
            verb()
    assert bench.platform.store.last_position() == before
    with pytest.raises(InvalidRequest, match="reason"):
        bench.erase([failed.execution_id], reason=" ")


def test_a_node_that_failed_in_several_graphs_side_by_side_is_passed_by_in_all(bench: TestBench) -> None:
    together = threading.Barrier(2)

    def fails(state: Notes) -> Notes:
        together.wait(30)
        raise ValueError("i")

    builder: Any = StateGraph(Notes)
    builder.add_node("sub", chain(i=fails))
    builder.add_conditional_edges(START, lambda _: [Send("sub", {"notes": []})] * 2, ["sub"])
    failed = bench.run(builder.compile(), {"query": "q"})
    done = bench.skip(failed.execution_id, "sub/i", {"notes": ["given"]})
    assert (done.status, done.state["notes"]) == ("completed", ["given", "given"])


class Private(TypedDict):
    secret: int


def test_one_node_gets_what_only_it_may_see_and_the_variant_its_execution_has(bench: TestBench) -> None:
    def reveals(state: Private) -> Notes:
        return {"notes": [str(state["secret"])]}

    builder: Any = StateGraph(Notes)
    builder.add_node("hides", lambda state: {"secret": 7})
    builder.add_node("reveals", reveals)
    builder.add_edge(START, "hides")
    builder.add_edge("hides", "reveals")
    whole = bench.run(builder.compile(), {"query": "q"})
    assert bench.run_node(whole.execution_id, "reveals").writes == {"notes": ["7"]}
    bench.project.variant("a", "loud", says("A"))
    loud = bench.run(chain(a=says("a")), {"query": "q"}, variants={"a": "loud"})
    assert bench.run_node(loud.execution_id, "a").writes == {"notes": ["A"]}
    assert bench.run_node(loud.execution_id, "a", variant="default").writes == {"notes": ["a"]}
