"""A record that isn't as it was written is no ground to replay from: it is found while it is read."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from tests.sdk.test_replay import went
from tests.sdk.witnessed import Witness, chatting, nested, straight
from wtb.domain.execution import CheckpointSaved
from wtb.domain.identifiers import Digest, execution_stream
from wtb.infra.event_store.values import parts
from wtb.infra.langgraph.replay.divergence import Divergence
from wtb.sdk import TestBench


@pytest.fixture
def witness() -> Witness:
    return Witness()


def change(bench: TestBench, statement: str, **values: object) -> None:
    """Alter the database behind the store's back."""
    with bench.platform.read_models.begin() as connection:
        assert connection.execute(text(statement), values).rowcount == 1


def change_event(bench: TestBench, execution: str, kind: str, alter: Callable[[bytes], bytes]) -> None:
    """Alter what an event of a kind says: the last one's."""
    row = [row for row in bench.platform.store.stored(execution_stream(execution)) if row.topic.startswith(kind)][-1]
    altered = alter(row.state)
    assert altered != row.state
    change(
        bench,
        "UPDATE wtb_events SET state=:state WHERE originator_id=:stream AND originator_version=:version",
        state=altered,
        stream=row.stream,
        version=row.version,
    )


def found(bench: TestBench, execution: str) -> Divergence:
    report = bench.replay(execution)
    assert not report.identical
    assert report.status == "diverged"
    assert (report.steps, report.nodes_called, report.routers_called) == (0, 0, 0)
    assert report.first_divergence is not None
    assert report.first_divergence.kind == "record"
    return report.first_divergence


def test_a_changed_event_is_found(bench: TestBench, witness: Witness) -> None:
    execution = went(bench, nested(witness))
    change_event(bench, execution, "NodeCompleted", lambda state: state.replace(b'"attempt":1', b'"attempt":2'))

    divergence = found(bench, execution)

    assert (divergence.step, divergence.node) == (3, "last")
    assert "isn't as it was written" in str(divergence)


def test_a_changed_event_whose_digest_was_made_to_fit_is_found_by_the_next(
    quick_bench: TestBench, witness: Witness
) -> None:
    execution = went(quick_bench, straight(witness, one=None, two=None))
    change_event(quick_bench, execution, "ExecutionStarted", lambda state: b"0" * 64 + state[64:])

    assert "event 1" in str(found(quick_bench, execution))


def test_a_removed_event_is_found(bench: TestBench, witness: Witness) -> None:
    execution = went(bench, straight(witness, one=None, two=None))
    change(
        bench,
        "DELETE FROM wtb_events WHERE originator_id=:stream AND originator_version=4",
        stream=execution_stream(execution),
    )

    assert "event 4" in str(found(bench, execution))


def test_an_event_that_is_no_event_any_more_is_found(quick_bench: TestBench, witness: Witness) -> None:
    execution = went(quick_bench, straight(witness, one=None))
    change_event(quick_bench, execution, "NodeCompleted", lambda state: b"\x01nonsense")

    assert found(quick_bench, execution).message


def test_a_changed_value_is_found_by_step_node_and_channel(bench: TestBench, witness: Witness) -> None:
    execution = went(bench, straight(witness, one=None, two=None))
    digest = written_by(bench, execution, "two", "notes")
    change(bench, "UPDATE wtb_values SET data=:data WHERE digest=:digest", data=b"\x91\xa3lie", digest=digest)

    divergence = found(bench, execution)

    assert (divergence.step, divergence.node, divergence.channel) == (2, "two", "notes")
    assert divergence.expected == digest
    assert "other bytes than its digest says" in str(divergence)


def test_a_value_that_is_gone_is_found(bench: TestBench, witness: Witness) -> None:
    execution = went(bench, straight(witness, one=None, two=None))
    digest = written_by(bench, execution, "two", "notes")
    change(bench, "DELETE FROM wtb_values WHERE digest=:digest", digest=digest)

    divergence = found(bench, execution)

    assert (divergence.step, divergence.node, divergence.channel) == (2, "two", "notes")


def test_a_changed_piece_of_a_list_is_found_where_the_list_was_written(
    quick_bench: TestBench, witness: Witness
) -> None:
    execution = went(quick_bench, chatting(witness))
    store = quick_bench.platform.store
    whole = written_by(quick_bench, execution, "one", "messages")
    [value] = store.values([whole]).values()
    assert value.kind == "chunk"
    [piece] = parts(value.kind, value.data)
    change(quick_bench, "UPDATE wtb_values SET data=:data WHERE digest=:digest", data=b"\xa3lie", digest=piece)

    divergence = found(quick_bench, execution)

    assert (divergence.node, divergence.channel) == ("one", "messages")


def test_a_changed_final_state_is_found(quick_bench: TestBench, witness: Witness) -> None:
    """Though a replay makes it anew."""
    execution = went(quick_bench, straight(witness, one=None, two=None))
    saved = [event.fact for event in quick_bench.events(execution) if isinstance(event.fact, CheckpointSaved)]
    _, held = saved[-1].channels["notes"]
    change(quick_bench, "UPDATE wtb_values SET data=:data WHERE digest=:digest", data=b"\x91\xa3lie", digest=held)

    assert found(quick_bench, execution).channel == "notes"


def written_by(bench: TestBench, execution: str, node: str, channel: str) -> Digest:
    step = next(step for step in bench.steps(execution) if step.node == node)
    return next(write.value for write in step.writes if write.channel == channel)
