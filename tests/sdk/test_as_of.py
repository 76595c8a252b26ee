"""The world as it was: every read answers as it answered live at that moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from langgraph.checkpoint.base.id import uuid6

from tests.projections.given import walk
from tests.sdk.given import Notes, asks, beside, chain, says
from tests.sdk.test_reads import everything
from wtb.domain.errors import CheckpointNotFound, ExecutionNotFound, InvalidCursor, InvalidRequest, WtbError
from wtb.domain.event_log import AnyFact, Append, Origin
from wtb.domain.execution import CheckpointSaved, RollbackUndone, RolledBack
from wtb.domain.identifiers import CheckpointId, execution_of, execution_stream
from wtb.sdk import TestBench, View, WorkflowProject


def fails(state: Notes) -> Notes:
    raise LookupError("nothing found")


def answered(ask: Callable[[], Any]) -> Any:
    """What a question got: an answer, or the code of a refusal."""
    try:
        return ask()
    except WtbError as refusal:
        return refusal.code


def world(bench: TestBench | View, ids: list[str]) -> dict[str, Any]:
    """The answers to everything that can be asked."""
    told: dict[str, Any] = {"executions": list(bench.executions()), "log": bench.log()}
    told["paused"] = list(bench.executions(status="paused", limit=2))
    for each in ids:
        told[each] = (
            answered(lambda each=each: bench.execution(each)),  # type: ignore[misc]
            answered(lambda each=each: list(bench.steps(each))),  # type: ignore[misc]
            answered(lambda each=each: list(bench.checkpoints(each))),  # type: ignore[misc]
            answered(lambda each=each: bench.events(each)),  # type: ignore[misc]
            answered(lambda each=each: bench.state(each)),  # type: ignore[misc]
        )
    return told


def told_again(source: TestBench, bench: TestBench, after_each: Callable[[int, str], None]) -> None:
    """Let what happened on one bench happen on another, event by event."""
    store = source.platform.store
    for event in source.log(limit=10_000):
        fact = event.fact
        digests = [write.value for write in getattr(fact, "writes", ())]
        if isinstance(fact, CheckpointSaved):
            digests += [digest for _, digest in fact.channels.values() if digest]
        values = store.values({digest for digest in digests if digest != "null"})
        target = bench.platform.store
        head = target.head(event.stream)
        origin = Origin(event.actor, event.cause)
        [done] = target.append([Append(event.stream, head, [fact], [event.time_us], origin, values)])
        after_each(done.positions[0], execution_of(event.stream))


def moved_back(bench: TestBench, execution: str, after_each: Callable[[int, str], None]) -> None:
    """Roll an execution back to its first superstep, and undo it, by the facts themselves."""
    store, stream = bench.platform.store, execution_stream(execution)
    saved = [e.fact for e in store.read(stream) if isinstance(e.fact, CheckpointSaved) and not e.fact.namespace]
    target, left = saved[2], saved[-1]
    copy = target.model_copy(update={"checkpoint": CheckpointId(str(uuid6())), "parent": target.checkpoint})
    back: list[AnyFact] = [
        copy.model_copy(update={"source": "fork"}),
        RolledBack(to=target.checkpoint, head=copy.checkpoint, left=left.checkpoint),
    ]
    undone: list[AnyFact] = [RollbackUndone(head=left.checkpoint)]
    for facts in (back, undone):
        head = store.head(stream)
        [done] = store.append([Append(stream, head, facts, [head.version * 1_000_000] * len(facts), Origin("ada"))])
        after_each(done.positions[-1], execution)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBench]:
    """Executions that went well, nested and fanned out, failed, were asked and answered, and were deleted."""
    folder = tmp_path_factory.mktemp("source")
    with TestBench(WorkflowProject("notes", db_path=folder / "wtb.db", output_dir=folder / "out")) as bench:
        bench.run(everything(), {"query": "q"}, execution_id="all")
        bench.run(chain(a=says("a"), b=fails), {"query": "q"}, execution_id="failed")
        bench.run(beside(a=says("a"), b=says("b"), ask=asks("?")), {"query": "q"}, execution_id="beside")
        bench.resume("all", "yes")
        bench.run(chain(a=says("a"), b=says("b")), {"query": "q"}, execution_id="plain")
        bench.run(chain(a=says("a")), {"query": "q"}, execution_id="deleted")
        bench.platform.saver.delete_thread("deleted")
        yield bench


def test_at_every_position_the_answers_are_those_that_were_given_then(bench: TestBench, source: TestBench) -> None:
    """For the execution that the event at the position is of, and for the listings; the log has gone on since."""
    then: dict[int, tuple[list[str], dict[str, Any]]] = {0: (["all"], world(bench, ["all"]))}

    def remember(position: int, execution: str) -> None:
        then[position] = [execution], world(bench, [execution])

    told_again(source, bench, remember)
    moved_back(bench, "plain", remember)
    everyone = ["all", "failed", "beside", "plain", "deleted", "never"]
    then[bench.platform.store.last_position()] = everyone, world(bench, everyone)
    assert len(then) > 70
    for position, (asked, told) in then.items():
        assert world(bench.as_of(position), asked) == told, position


def test_states_at_a_checkpoint_and_within_nested_graphs_are_as_they_were(bench: TestBench) -> None:
    graph = everything()
    paused = bench.run(graph, {"query": "q"})
    execution = paused.execution_id
    saved = bench.checkpoints(execution)
    states = {(c.id, c.namespace): bench.state(execution, c.id, namespace=c.namespace) for c in saved}
    heads = {c.namespace: bench.state(execution, namespace=c.namespace) for c in saved}
    bench.resume(execution, "yes")
    view = bench.as_of(paused.position)
    for (checkpoint, namespace), state in states.items():
        assert view.state(execution, checkpoint, namespace=namespace) == state
        assert view.state(execution, checkpoint) == state
    for namespace, state in heads.items():
        assert view.state(execution, namespace=namespace) == state
    assert view.state(execution) != bench.state(execution)
    later = bench.checkpoints(execution).items[0].id
    for unknown in (later, "unknown", "", "a\0b"):
        with pytest.raises(CheckpointNotFound):
            view.state(execution, unknown)
    with pytest.raises(CheckpointNotFound):
        view.state(execution, namespace="unknown:1")


def test_travels_are_undone_in_the_past(bench: TestBench) -> None:
    """Rolled back, undone, edited, forked: state, status and lineage are those of the moment."""
    graph = chain(a=says("a"), b=says("b"))
    bench.run(graph, {"query": "q"}, execution_id="one")

    def told(world: TestBench | View) -> list[Any]:
        children = answered(lambda: [world.state(each.id) for each in world.lineage("one").descendants])
        return [world.state("one"), world.execution("one"), world.lineage("one"), world.files("one"), children]

    then = {}
    acts: list[Callable[[], object]] = [
        lambda: None,
        lambda: bench.rollback("one", step=1),
        lambda: bench.undo_rollback("one"),
        lambda: bench.rollback("one", step=0),
        lambda: bench.edit("one", {"query": "edited"}),
        lambda: bench.fork("one", step=1, new_id="two"),
        lambda: bench.resume("one"),
        lambda: bench.fork("two", step=1, state={"query": "forked"}, run=False, new_id="three"),
    ]
    for act in acts:
        act()
        then[bench.platform.store.last_position()] = told(bench)
    assert len(then) == len(acts)
    for position, answers in then.items():
        assert told(bench.as_of(position)) == answers
    first = bench.as_of(min(then))
    assert first.lineage("one").descendants == ()
    with pytest.raises(ExecutionNotFound):
        first.lineage("two")


def test_a_view_stays_as_it_is_while_the_world_goes_on(bench: TestBench) -> None:
    graph = chain(a=says("a"), ask=asks("?"))
    paused = bench.run(graph, {"query": "q"}, execution_id="one")
    view = bench.as_of(paused.position)
    before = world(view, ["one"])
    bench.resume("one", "yes")
    bench.run(graph, {"query": "q"}, execution_id="two")
    assert world(view, ["one"]) == before == world(bench.as_of(paused.position), ["one"])
    assert bench.execution("one").status == "completed"
    assert view.execution("one").status == "paused"
    with pytest.raises(ExecutionNotFound):
        view.execution("two")


def test_pages_of_the_past_lead_on_to_each_other(bench: TestBench) -> None:
    for number in range(5):
        bench.run(chain(a=says("a"), b=says("b")), {"query": "q"}, execution_id=str(number))
    view = bench.as_of(bench.platform.store.last_position())
    for reader in (bench, view):
        assert [e.id for e in walk(lambda **to: reader.executions(limit=2, **to))] == ["4", "3", "2", "1", "0"]  # noqa: B023
        assert walk(lambda **to: reader.steps("1", limit=1, **to)) == list(bench.steps("1"))  # noqa: B023
        assert walk(lambda **to: reader.checkpoints("1", limit=2, **to)) == list(bench.checkpoints("1"))  # noqa: B023
        for nonsense in ("nonsense", reader.steps("0", limit=1).next_cursor):
            with pytest.raises(InvalidCursor):
                reader.steps("1", cursor=nonsense)
            with pytest.raises(InvalidCursor):
                reader.checkpoints("1", cursor=nonsense)
        assert reader.log(after=3, limit=2) == bench.log()[3:5]
        assert reader.events("1", limit=2) == bench.events("1")[:2]


def test_a_time_stands_for_the_last_event_that_had_happened_by_then(bench: TestBench) -> None:
    for number in range(4):
        bench.run(chain(a=says("a")), {"query": "q"}, execution_id=str(number))
    log = bench.log()
    for event in log:
        latest = max(e.position for e in log if e.time_us <= event.time_us)
        assert bench.as_of(event.time).position == latest
    assert bench.as_of(log[0].time - timedelta(microseconds=1)).position == 0
    assert bench.as_of(datetime.max.replace(tzinfo=UTC)).position == log[-1].position
    assert len(bench.as_of(datetime.min.replace(tzinfo=UTC)).executions()) == 0


def test_a_position_beyond_the_end_is_the_end_and_what_is_none_is_refused(bench: TestBench) -> None:
    end = bench.run(chain(a=says("a")), {"query": "q"}).position
    assert bench.as_of(10**30).position == end
    assert bench.as_of(0).log() == []
    assert list(bench.as_of(0).executions()) == []
    for nonsense in (-1, datetime(2026, 1, 1)):  # noqa: DTZ001
        with pytest.raises(InvalidRequest) as refusal:
            bench.as_of(nonsense)
        assert refusal.value.hint
    for limit in (0, -1):
        with pytest.raises(InvalidRequest):
            bench.as_of(end).log(limit=limit)


def test_many_threads_may_look_at_one_view(bench: TestBench) -> None:
    ids = [bench.run(chain(a=says("a")), {"query": "q"}).execution_id for _ in range(20)]
    view = bench.as_of(10**9)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda each: view.execution(each).status, ids * 3)) == ["completed"] * 60
