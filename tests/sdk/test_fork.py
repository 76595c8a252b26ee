"""A fork begins at any past checkpoint of another execution, runs on, and leaves that one as it was."""

import operator
from typing import Annotated, Any

import pytest
from langgraph.channels import DeltaChannel
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from tests.sdk.given import Notes, asks, beside, chain, completed, says, started
from wtb.domain.errors import (
    CheckpointNotFound,
    ExecutionExists,
    ExecutionNotFound,
    InvalidRequest,
    InvalidState,
    NodeNotFound,
    VariantNotFound,
    WorkflowNotFound,
    WtbError,
)
from wtb.domain.execution import CheckpointSaved, ExecutionStarted, Forked
from wtb.domain.identifiers import CheckpointId
from wtb.infra.langgraph.branches import Brancher
from wtb.sdk import RunResult, TestBench, WorkflowProject

ABC: dict[str, Any] = {name: says(name) for name in "abc"}


def ran(bench: TestBench, execution: str) -> list[str]:
    return started(bench.events(execution))


# --- where it begins ------------------------------------------------------------------------------------


def test_a_fork_from_each_checkpoint_comes_to_the_same_end(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    before = bench.events(whole.execution_id)
    expected = {-1: "abc", 0: "abc", 1: "bc", 2: "c", 3: ""}
    for checkpoint in bench.checkpoints(whole.execution_id):
        fork = bench.fork(whole.execution_id, at=checkpoint.id)
        assert (fork.status, fork.state) == ("completed", whole.state), checkpoint
        assert ran(bench, fork.execution_id) == list(expected[checkpoint.step])
        row = bench.execution(fork.execution_id)
        assert (row.parent_execution, row.parent_checkpoint) == (whole.execution_id, checkpoint.id)
    assert [e for e in bench.events(whole.execution_id) if not isinstance(e.fact, Forked)] == before
    assert bench.execution(whole.execution_id).status == "completed"


@pytest.mark.parametrize(
    ("place", "ran_again"), [({"node": "b"}, "bc"), ({"step": 1}, "bc"), ({"step": 0}, "abc"), ({}, "")], ids=str
)
def test_the_checkpoint_may_be_named_by_node_or_step(bench: TestBench, place: Any, ran_again: str) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    fork = bench.fork(whole.execution_id, **place)
    assert (fork.state, ran(bench, fork.execution_id)) == (whole.state, list(ran_again))


def test_a_node_that_ran_often_means_its_last_start(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("again", lambda state: {"notes": [str(len(state["notes"]))]})
    builder.add_edge(START, "again")
    builder.add_conditional_edges("again", lambda state: "again" if len(state["notes"]) < 4 else END)
    whole = bench.run(builder.compile(), {"notes": []})
    fork = bench.fork(whole.execution_id, node="again")
    assert (fork.state, ran(bench, fork.execution_id)) == (whole.state, ["again"])


async def test_a_fork_runs_on_the_loop_too(bench: TestBench) -> None:
    async def b(state: Notes) -> Notes:
        return {"notes": ["b"]}

    whole = await bench.arun(chain(a=says("a"), b=b), {"query": "q"})
    fork = await bench.afork(whole.execution_id, node="b")
    assert (fork.state["notes"], ran(bench, fork.execution_id)) == (["a", "b"], ["b"])
    assert bench.fork(whole.execution_id, node="b").state["notes"] == ["a", "b"]


def test_what_is_not_there_is_refused_and_no_execution_begins(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"}, execution_id="whole")
    here = bench.checkpoints("whole")[0].id
    position = whole.position
    refused: list[tuple[type[WtbError], dict[str, Any]]] = [
        (CheckpointNotFound, {"at": "nowhere"}),
        (CheckpointNotFound, {"at": "\0"}),
        (CheckpointNotFound, {"step": 7}),
        (NodeNotFound, {"node": "z"}),
        (InvalidRequest, {"node": "a", "step": 1}),
        (ExecutionExists, {"at": here, "new_id": "whole"}),
        (InvalidRequest, {"at": here, "new_id": "../x"}),
        (VariantNotFound, {"variants": {"b": "unheard of"}}),
        (NodeNotFound, {"variants": {"z": "default"}}),
        (InvalidState, {"at": here, "state": {"nowhere": 1}}),
    ]
    for refusal, asked in refused:
        with pytest.raises(refusal):
            bench.fork("whole", **asked)
    with pytest.raises(ExecutionNotFound):
        bench.fork("unheard of")
    assert bench.platform.store.last_position() == position


def test_another_process_names_the_graph(project: WorkflowProject, bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    with TestBench(project) as other:
        with pytest.raises(WorkflowNotFound):
            other.fork(whole.execution_id, node="b")
        assert other.fork(whole.execution_id, node="b", graph=chain(**ABC)).state == whole.state


# --- what is different ----------------------------------------------------------------------------------


def test_a_fork_may_begin_with_another_state(bench: TestBench) -> None:
    whole = bench.run(chain(a=says("a"), b=lambda state: {"notes": [state["query"]]}), {"query": "q"})
    fork = bench.fork(whole.execution_id, node="b", state={"query": "other", "notes": ["more"]})
    assert fork.state == {"query": "other", "notes": ["a", "more", "other"]}
    assert ran(bench, fork.execution_id) == ["b"]
    assert bench.state(whole.execution_id)["query"] == "q"


def test_another_state_may_lead_elsewhere(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    for node in ("choose", "left", "right"):
        builder.add_node(node, says(node))
    builder.add_edge(START, "choose")
    builder.add_conditional_edges("choose", lambda state: state["query"], ["left", "right"])
    whole = bench.run(builder.compile(), {"query": "left"})
    fork = bench.fork(whole.execution_id, step=1, state={"query": "right"}, as_node="choose")
    assert fork.state["notes"] == ["choose", "right"]


def test_a_fork_may_run_other_variants_and_keeps_its_parents(bench: TestBench) -> None:
    bench.project.variant("b", "loud", says("B"))
    bench.project.variant("c", "loud", says("C"))
    whole = bench.run(chain(**ABC), {"query": "q"}, variants={"b": "loud"})
    fork = bench.fork(whole.execution_id, node="b", variants={"c": "loud"})
    assert fork.state["notes"] == ["a", "B", "C"]
    assert bench.execution(fork.execution_id).variants == {"b": "loud", "c": "loud"}
    assert bench.fork(fork.execution_id, node="b", variants={"b": "default"}).state["notes"] == ["a", "b", "C"]


def test_a_fork_may_wait_to_be_resumed(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    waiting = bench.fork(whole.execution_id, node="c", run=False, new_id="later")
    assert (waiting.status, waiting.state["notes"]) == ("paused", ["a", "b"])
    assert ran(bench, "later") == []
    assert bench.resume("later").state == whole.state


# --- questions, failures, fan-out, nested graphs ----------------------------------------------------------


def test_a_fork_asks_again_and_may_be_answered_otherwise(bench: TestBench) -> None:
    asked = bench.run(chain(a=says("a"), ask=asks("?"), c=says("c")), {"query": "q"})
    fork = bench.fork(asked.execution_id)
    assert (fork.status, [i.value for i in fork.interrupts]) == ("paused", ["?"])
    done = bench.resume(asked.execution_id, "yes")
    again = bench.fork(asked.execution_id, node="ask")
    assert bench.resume(again.execution_id, "no").state["notes"] == ["a", "no", "c"]
    assert bench.resume(fork.execution_id, "perhaps").state["notes"] == ["a", "perhaps", "c"]
    assert bench.state(asked.execution_id)["notes"] == done.state["notes"] == ["a", "yes", "c"]


def test_a_fork_of_a_failed_execution_runs_its_whole_superstep_again(bench: TestBench) -> None:
    broken = ["once"]

    def b(state: Notes) -> Notes:
        if broken:
            raise ValueError(broken.pop())
        return {"notes": ["b"]}

    failed = bench.run(beside(a=says("a"), b=b), {"query": "q"})
    fork = bench.fork(failed.execution_id)
    assert (failed.status, fork.status, sorted(fork.state["notes"])) == ("failed", "completed", ["a", "b"])
    assert sorted(ran(bench, fork.execution_id)) == ["a", "b"]


def test_what_was_sent_is_sent_again(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("plan", says("plan"))
    builder.add_node("piece", lambda given: {"notes": [given]})
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda _: [Send("piece", letter) for letter in "xyz"], ["piece"])
    whole = bench.run(builder.compile(), {"query": "q"})
    fork = bench.fork(whole.execution_id, node="piece")
    assert (fork.state, ran(bench, fork.execution_id)) == (whole.state, ["piece"] * 3)


def nested() -> Any:
    """Graphs in graphs, the inner one beside a node, with a question at the end."""
    builder: Any = StateGraph(Notes)
    builder.add_node("before", says("before"))
    builder.add_node("sub", chain(one=says("one"), deep=chain(two=says("two"), three=says("three"))))
    builder.add_node("beside", says("beside"))
    builder.add_node("after", says("after"))
    builder.add_edge(START, "before")
    for node in ("sub", "beside"):
        builder.add_edge("before", node)
        builder.add_edge(node, "after")
    return builder.compile()


def test_a_fork_from_a_nested_graphs_checkpoint_runs_on_inside_it(bench: TestBench) -> None:
    whole = bench.run(nested(), {"query": "q"})
    checkpoints = [c for c in bench.checkpoints(whole.execution_id) if c.namespace and c.step > 0]
    assert {c.namespace.count("|") for c in checkpoints} == {0, 1}
    for checkpoint in checkpoints:
        fork = bench.fork(whole.execution_id, at=checkpoint.id)
        assert fork.state == whole.state, checkpoint
        again = ran(bench, fork.execution_id)
        assert "sub/one" not in again
        assert "before" not in again
        assert again[-1] == "after"
        assert len(again) == len(set(again))


def test_a_nested_fork_by_node_runs_that_node_and_what_follows(bench: TestBench) -> None:
    whole = bench.run(nested(), {"query": "q"})
    fork = bench.fork(whole.execution_id, node="sub/deep/three")
    assert fork.state == whole.state
    assert set(ran(bench, fork.execution_id)) - {"beside"} == {"sub", "sub/deep", "sub/deep/three", "after"}


def test_a_sibling_that_had_finished_does_not_run_again_in_a_nested_fork(bench: TestBench) -> None:
    def waits(state: Notes) -> Notes:
        return {"notes": [interrupt("?")]}

    builder: Any = StateGraph(Notes)
    builder.add_node("sub", chain(one=says("one"), waits=waits))
    builder.add_node("beside", says("beside"))
    builder.add_edge(START, "sub")
    builder.add_edge(START, "beside")
    paused = bench.run(builder.compile(), {"query": "q"})
    done = bench.resume(paused.execution_id, "yes")
    last = next(c for c in bench.checkpoints(paused.execution_id) if c.namespace)
    fork = bench.fork(paused.execution_id, at=last.id)
    assert sorted(fork.state["notes"]) == sorted(done.state["notes"])
    assert "beside" not in ran(bench, fork.execution_id)


def test_a_fork_of_a_fork_of_a_nested_checkpoint(bench: TestBench) -> None:
    whole = bench.run(nested(), {"query": "q"})
    first = bench.fork(whole.execution_id, node="sub/deep/two")
    second = bench.fork(first.execution_id, node="sub/deep/three", state={"notes": ["new"]}, as_node="sub/deep/two")
    assert "new" in second.state["notes"]
    assert first.state == whole.state


def test_a_fork_from_inside_a_graph_that_a_node_calls_calls_it_again_where_it_stood(bench: TestBench) -> None:
    def calls(state: Notes) -> Notes:
        inner = chain(one=says("one"), deep=chain(two=says("two")))
        return {"notes": inner.invoke({"query": state["query"]})["notes"][:1]}

    whole = bench.run(chain(a=says("a"), calls=calls), {"query": "q"})
    inside = [c for c in bench.checkpoints(whole.execution_id) if c.namespace]
    for checkpoint in inside:
        if "|" in checkpoint.namespace:
            with pytest.raises(InvalidRequest, match="called in its own code"):
                bench.fork(whole.execution_id, at=checkpoint.id)
        else:
            fork = bench.fork(whole.execution_id, at=checkpoint.id)
            assert (fork.state, ran(bench, fork.execution_id)) == (whole.state, ["calls"])
    assert {"|" in checkpoint.namespace for checkpoint in inside} == {True, False}


class Deltas(TypedDict, total=False):
    notes: Annotated[list[str], DeltaChannel(lambda have, new: [*have, *(each for some in new for each in some)])]


def test_a_channel_kept_as_deltas_is_whole_in_a_fork(bench: TestBench) -> None:
    builder: Any = StateGraph(Deltas)
    before = START
    for name in "abcd":
        builder.add_node(name, lambda state, name=name: {"notes": [name]})
        builder.add_edge(before, name)
        before = name
    graph = builder.compile()
    whole = bench.run(graph, {"notes": ["in"]})
    for step, left in ((1, "bcd"), (3, "d")):
        fork = bench.fork(whole.execution_id, step=step)
        assert (fork.state["notes"], ran(bench, fork.execution_id)) == (["in", *"abcd"], list(left))
        again = bench.fork(fork.execution_id, node="d")
        assert again.state["notes"] == ["in", *"abcd"]


# --- lineage --------------------------------------------------------------------------------------------


def test_lineage_names_ancestors_and_descendants(bench: TestBench) -> None:
    graph = chain(**ABC)
    root = bench.run(graph, {"query": "q"}, execution_id="root")
    for parent, child in (("root", "one"), ("root", "two"), ("one", "three"), ("three", "four")):
        bench.fork(parent, node="c", new_id=child)
    found = bench.lineage("three")
    assert [e.id for e in found.ancestors] == ["one", "root"]
    assert [e.id for e in found.descendants] == ["four"]
    assert [e.id for e in bench.lineage("root").descendants] == ["one", "two", "three", "four"]
    assert [e.id for e in bench.lineage("root").forks_of(root.execution_id)] == ["one", "two"]
    assert repr(bench.lineage("root")).splitlines()[2].startswith("  one completed from ")
    with pytest.raises(ExecutionNotFound):
        bench.lineage("unheard of")


def test_both_sides_of_a_fork_tell_of_it(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    fork: RunResult = bench.fork(whole.execution_id, node="b", actor="ada")
    told = [(e.fact, e.actor) for e in bench.events(whole.execution_id) if isinstance(e.fact, Forked)]
    begun = bench.events(fork.execution_id)[0]
    assert isinstance(begun.fact, ExecutionStarted)
    assert begun.fact.parent is not None
    assert [(fact.child, fact.checkpoint, actor) for fact, actor in told] == [
        (fork.execution_id, begun.fact.parent.checkpoint, "ada")
    ]
    assert (begun.actor, begun.cause) == ("ada", "fork")


def test_a_command_that_leads_on_is_followed_in_a_fork(bench: TestBench) -> None:
    builder: Any = StateGraph(Notes)
    builder.add_node("a", lambda state: Command(update={"notes": ["a"]}, goto="b"), destinations=("b",))
    builder.add_node("b", says("b"))
    builder.add_edge(START, "a")
    whole = bench.run(builder.compile(), {"query": "q"})
    for node in "ab":
        fork = bench.fork(whole.execution_id, node=node)
        assert (fork.state, completed(bench.events(fork.execution_id))[-1]) == (whole.state, "b")


class Summed(TypedDict, total=False):
    total: Annotated[int, operator.add]


def test_a_branch_never_touches_another(bench: TestBench) -> None:
    builder: Any = StateGraph(Summed)
    builder.add_node("one", lambda state: {"total": 1})
    builder.add_node("two", lambda state: {"total": 2})
    builder.add_edge(START, "one")
    builder.add_edge("one", "two")
    graph = builder.compile()
    root = bench.run(graph, {"total": 0})
    forks = [bench.fork(root.execution_id, node="two", state={"total": 10 * n}) for n in range(4)]
    assert [f.state["total"] for f in forks] == [3, 13, 23, 33]
    for execution, expected in ((root, 3), *zip(forks, (3, 13, 23, 33), strict=True)):
        assert bench.state(execution.execution_id)["total"] == expected


# --- what is refused leaves nothing ---------------------------------------------------------------------


def test_a_fork_whose_state_is_refused_was_never_there(bench: TestBench) -> None:
    """Not even where a reducer or a router finds fault with it."""
    builder: Any = StateGraph(Notes)
    for node in ("a", "b"):
        builder.add_node(node, says(node))
    builder.add_edge(START, "a")
    builder.add_conditional_edges("a", lambda state: "b" if state["query"].isalpha() else END)
    whole = bench.run(builder.compile(), {"query": "q"})
    before = bench.platform.store.last_position()
    refused: list[tuple[type[WtbError], dict[str, Any]]] = [
        (InvalidState, {"state": {"notes": 5}}),
        (InvalidState, {"state": {"query": 5}, "as_node": "a"}),
        (InvalidState, {"state": 5}),
        (NodeNotFound, {"state": {"query": "p"}, "as_node": "z"}),
    ]
    for refusal, asked in refused:
        with pytest.raises(refusal):
            bench.fork(whole.execution_id, step=1, new_id="child", **asked)
    assert bench.platform.store.last_position() == before
    assert bench.fork(whole.execution_id, step=1, new_id="child").state == whole.state


def test_a_fork_touches_no_folder_that_is_not_its_own(bench: TestBench) -> None:
    whole = bench.run(chain(**ABC), {"query": "q"})
    folder = bench.platform.output_dir / "reports"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="holds something already"):
        bench.fork(whole.execution_id, step=1, new_id="reports")
    assert (folder / "thesis.txt").read_text() == "mine"


def test_of_two_forks_with_one_id_the_second_leaves_no_trace(bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it looked before the first one was there."""
    one, two = (bench.run(chain(**ABC), {"query": name}) for name in ("one", "two"))
    copy = Brancher.copy

    def overtaken(self: Brancher, original: CheckpointSaved) -> CheckpointId:
        monkeypatch.setattr(Brancher, "copy", copy)
        bench.platform.saver.end("kid", self.recording)
        bench.fork(one.execution_id, step=1, new_id="kid")
        bench.platform.saver.begin("kid", self.recording)
        return copy(self, original)

    monkeypatch.setattr(Brancher, "copy", overtaken)
    before = bench.events(two.execution_id)
    with pytest.raises(ExecutionExists):
        bench.fork(two.execution_id, step=1, new_id="kid")
    assert bench.events(two.execution_id) == before
    assert [e.id for e in bench.lineage(one.execution_id).descendants] == ["kid"]
    assert bench.state("kid")["query"] == "one"
