"""The whole house: a graph run over REST is seen alike over REST, WebSocket, gRPC and the SDK."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from websockets.sync.client import connect

from tests.interfaces.serving import serving
from wtb.domain.cloud_event import WireEvent
from wtb.interfaces.grpc.executions_pb2 import STATUS_COMPLETED, GetExecutionRequest, WatchExecutionRequest
from wtb.interfaces.grpc.executions_pb2_grpc import ExecutionsStub
from wtb.sdk import TestBench, WorkflowProject

GRAPH = """
import operator
from typing import Annotated, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy, interrupt


class State(TypedDict, total=False):
    question: str
    notes: Annotated[list[str], operator.add]


class Inner(TypedDict, total=False):
    notes: Annotated[list[str], operator.add]


tries = []

def look(state: State) -> State:
    tries.append(1)
    if len(tries) < 2:
        raise ConnectionError("not yet")
    return {"notes": [f"looked for {state['question']}"]}

def left(state: State) -> State:
    return {"notes": ["left"]}

def inside(state: Inner) -> Inner:
    return {"notes": ["inside"]}

def review(state: State) -> State:
    return {"notes": [interrupt({"notes": sorted(state["notes"])})]}


inner = StateGraph(Inner)
inner.add_node(inside)
inner.add_edge(START, "inside")

graph = StateGraph(State)
graph.add_node(look, retry_policy=RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=ConnectionError))
graph.add_node(left)
graph.add_node("right", inner.compile())
graph.add_node(review)
graph.add_edge(START, "look")
graph.add_edge("look", "left")
graph.add_edge("look", "right")
graph.add_edge(["left", "right"], "review")
"""

Events = list[dict[str, Any]]


@pytest.mark.nats
def test_everybody_sees_the_same_events_in_the_same_order(tmp_path: Path) -> None:
    """An agent with a retry, a fan-out, a nested graph and an interrupt; started and resumed over REST."""
    (tmp_path / "agent.py").write_text(GRAPH)
    (tmp_path / "agents.json").write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}}))
    with serving(tmp_path, langgraph_json="agents.json") as server, server.client() as api:
        with connect(server.websocket, proxy=None) as everything, grpc.insecure_channel(server.grpc) as channel:
            started = api.start("agent", {"question": "why"}, execution_id="first")
            assert started.status_code == 202
            executions = ExecutionsStub(channel)
            watch = executions.WatchExecution(WatchExecutionRequest(execution_id="first"))
            with connect(f"{server.websocket}?execution=first", proxy=None) as one:
                paused = api.ended("first")
                assert paused["status"] == "paused"
                (question,) = paused["waiting"]
                resumed = api.post("executions/first/resume", json={"answers": {question: "good"}})
                assert resumed.status_code == 202
                assert api.ended("first")["status"] == "completed"
                heard = read(one, "ExecutionCompleted")
            heard_among_all = read(everything, "ExecutionCompleted")
            watched = [event for batch in watch for event in batch.events]
            over_grpc = executions.GetExecution(GetExecutionRequest(execution_id="first"))
        over_rest: Events = api.get("executions/first/events?limit=1000").json()
        in_log: Events = api.get("events?limit=1000").json()
        steps = api.get("executions/first/steps").json()["items"]
        state = api.get("executions/first/state").json()["channels"]
        server.end()

    with TestBench(WorkflowProject("any", db_path=tmp_path / "wtb.db", output_dir=tmp_path / "outputs")) as bench:
        in_sdk: Events = [json.loads(WireEvent.of(event).json) for event in bench.events("first")]

    assert in_sdk == over_rest == heard == in_log[2:]
    assert in_log == heard_among_all
    assert [event["subject"] for event in in_log[:2]] == ["agent", "agent"]  # what the server noted of its workflow
    assert in_sdk == [json.loads(event.cloud_event) for event in watched]
    positions = [event["position"] for event in in_sdk]
    assert positions == sorted(set(positions)) == [event.position for event in watched]
    assert (over_grpc.status, over_grpc.position) == (STATUS_COMPLETED, positions[-1])
    assert sorted((step["node"], step["namespace"] != "", step["status"]) for step in steps) == [
        ("inside", True, "completed"),
        ("left", False, "completed"),
        ("look", False, "completed"),
        ("look", False, "failed"),
        ("review", False, "completed"),
        ("review", False, "interrupted"),
        ("right", False, "completed"),
    ]
    assert sorted(state["notes"]) == sorted(["looked for why", "left", "looked for why", "inside", "good"])
    lifecycle = [event["type"] for event in in_sdk if event["type"].startswith("wtb.Execution")]
    assert lifecycle == [
        "wtb.ExecutionStarted",
        "wtb.ExecutionPaused",
        "wtb.ExecutionResumed",
        "wtb.ExecutionCompleted",
    ]


def read(connection: Any, last: str) -> Events:
    """All events that come, to the first of a type."""
    events: Events = []
    while not events or events[-1]["type"] != f"wtb.{last}":
        events += json.loads(connection.recv())
    return events
