"""The form in which events leave WTB."""

import json
from typing import Any

from wtb.domain.cloud_event import CloudEvent, WireEvent
from wtb.domain.event_log import Recorded
from wtb.domain.execution import ExecutionPaused, NodeStarted
from wtb.domain.identifiers import (
    CheckpointId,
    Namespace,
    Position,
    TaskId,
    Version,
    execution_stream,
)

FACT = NodeStarted(
    node="draft",
    task=TaskId("t1"),
    namespace=Namespace(""),
    checkpoint=CheckpointId("c1"),
    step=2,
    attempt=1,
    path="~__pregel_pull, draft",
)


def recorded(**changes: Any) -> Recorded:
    event: dict[str, Any] = {
        "position": Position(42),
        "stream": execution_stream("abc-1"),
        "version": Version(7),
        "type": "NodeStarted",
        "fact": FACT,
        "time_us": 1_700_000_000_123_456,
        "actor": "ada",
        "cause": None,
        "trace": None,
        "chain": "c" * 64,
    }
    return Recorded(**{**event, **changes})


def test_an_event_is_a_cloud_event_with_its_envelope_as_attributes() -> None:
    assert json.loads(WireEvent.of(recorded()).json) == {
        "specversion": "1.0",
        "id": "42",
        "source": "wtb",
        "type": "wtb.NodeStarted",
        "subject": "abc-1",
        "time": "2023-11-14T22:13:20.123456Z",
        "datacontenttype": "application/json",
        "data": {
            "node": "draft",
            "task": "t1",
            "namespace": "",
            "checkpoint": "c1",
            "step": 2,
            "attempt": 1,
            "path": "~__pregel_pull, draft",
            "variant": None,
        },
        "position": 42,
        "stream": "execution-abc-1",
        "version": 7,
        "actor": "ada",
        "chain": "c" * 64,
    }


def test_cause_and_trace_are_there_when_the_event_has_them() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = json.loads(WireEvent.of(recorded(cause="command-1", trace=trace)).json)
    assert (body["cause"], body["traceparent"]) == ("command-1", trace)


def test_what_was_sent_can_be_read_back() -> None:
    event = recorded(fact=ExecutionPaused(reason="request"), type="ExecutionPaused")
    assert CloudEvent.model_validate_json(WireEvent.of(event).json) == CloudEvent.of(event)


def test_an_event_without_its_data_says_where_the_whole_is() -> None:
    body = json.loads(CloudEvent.of(recorded()).without_data().model_dump_json())
    assert "data" not in body
    assert body["dataref"] == "/api/v1/events?after=41&limit=1"
