"""Starting executions over REST."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interfaces.rest.given import Client
from wtb.interfaces.rest import background
from wtb.interfaces.rest.app import MAX_BODY_BYTES
from wtb.interfaces.serve import Server


def test_a_started_execution_is_recorded_when_the_answer_comes(api: Client, server: Server) -> None:
    answer = api.start("greeter")
    assert answer.status_code == 202
    started = answer.json()
    assert server.bench.execution(started["id"]).workflow == started["workflow"] == "greeter"
    assert answer.headers["Location"] == f"/api/v1/executions/{started['id']}"
    assert api.get(f"{server.url}{answer.headers['Location']}").json()["id"] == started["id"]


def test_it_runs_to_its_end_by_itself(api: Client, server: Server) -> None:
    execution = api.start("greeter", {"name": "Eve"}).json()["id"]
    assert api.ended(execution)["status"] == "completed"
    assert server.bench.state(execution)["trail"] == ["hello Eve", "bye"]


def test_a_failed_execution_says_where_and_why(api: Client) -> None:
    ended = api.ended(api.start("failing").json()["id"])
    told = [ended[name] for name in ("status", "error_type", "error_message", "failed_node")]
    assert told == ["failed", "RuntimeError", "the node broke", "fail"]


def test_the_same_request_again_is_answered_with_the_same_execution(api: Client, server: Server) -> None:
    first = api.start("greeter", execution_id="again")
    second = api.start("greeter", execution_id="again")
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.headers["Location"] == second.headers["Location"]
    api.ended("again")
    types = [event.type for event in server.bench.events("again")]
    assert types.count("ExecutionStarted") == types.count("ExecutionCompleted") == 1


def test_the_same_request_many_times_at_once_starts_one_execution(api: Client, server: Server) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.start("greeter", execution_id="crowd").status_code, range(8)))
    assert sorted(answers) == [200] * 7 + [202]
    api.ended("crowd")
    assert [event.type for event in server.bench.events("crowd")].count("ExecutionStarted") == 1


@pytest.mark.parametrize("input", [{"name": 2}, {"name": True}, {"name": 1.0}, {"name": 1, "rounds": 1}], ids=repr)
def test_another_request_under_the_same_id_is_refused(api: Client, server: Server, input: object) -> None:
    api.start("greeter", {"name": 1}, execution_id="taken")
    api.ended("taken")
    before = server.bench.events("taken")
    for answer in (
        api.start("greeter", input, execution_id="taken"),
        api.start("asker", {"name": 1}, execution_id="taken"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "execution-exists")
    assert server.bench.events("taken") == before


def test_a_workflow_that_the_server_doesnt_know_is_refused(api: Client, server: Server) -> None:
    before = server.bench.platform.store.last_position()
    answer = api.start("stranger")
    assert (answer.status_code, answer.json()["code"]) == (404, "workflow-not-found")
    assert server.bench.platform.store.last_position() == before


@pytest.mark.parametrize("module", ["this:graph", "./graphs.py:greeter", "antigravity:fly"])
def test_nothing_that_a_request_names_is_imported(api: Client, module: str) -> None:
    assert api.start(module).json()["code"] == "workflow-not-found"
    assert module.partition(":")[0] not in sys.modules


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"input": {}}, "workflow"),
        ({"workflow": "greeter"}, "input"),
        ({"workflow": 7, "input": {}}, "workflow"),
        ({"workflow": "greeter", "input": {}, "extra": 1}, "extra"),
        ({"workflow": "greeter", "input": {}, "execution_id": ""}, "execution_id"),
        ({"workflow": "greeter", "input": {}, "execution_id": "../../up"}, "execution_id"),
        ({"workflow": "greeter", "input": {}, "execution_id": "/etc/up"}, "execution_id"),
        ({"workflow": "greeter", "input": {}, "execution_id": "line\n"}, "execution_id"),
        ({"workflow": "greeter", "input": {}, "config": {"callbacks": []}}, "callbacks"),
        ({"workflow": "greeter", "input": {}, "config": {"recursion_limit": 0}}, "recursion_limit"),
        ({"workflow": "greeter", "input": {}, "config": {"configurable": {"thread_id": "x"}}}, "thread_id"),
        ({"workflow": "greeter", "input": {}, "config": {"configurable": {"__pregel_send": 1}}}, "__pregel_send"),
        ([], "object"),
    ],
    ids=repr,
)
def test_a_body_that_doesnt_fit_is_refused_by_name(api: Client, server: Server, body: object, names: str) -> None:
    before = server.bench.platform.store.last_position()
    answer = api.post("executions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert names in answer.json()["detail"]
    assert server.bench.platform.store.last_position() == before


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"workflow": "\\ud800"}', b"[" * 200_000], ids=len)
def test_a_body_that_isnt_json_is_refused(api: Client, body: bytes) -> None:
    answer = api.post("executions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")


def test_a_body_beyond_the_limit_is_refused(api: Client) -> None:
    answer = api.post("executions", content=b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-big")


@pytest.mark.parametrize("input", [{"nme": "Ada"}, {}, [], "text", {"name": 2**70}], ids=repr)
def test_an_input_that_the_graph_or_the_store_cant_take_is_refused(api: Client, server: Server, input: object) -> None:
    before = server.bench.platform.store.last_position()
    answer = api.start("greeter", input)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid-state", "unserializable-value"}
    assert server.bench.platform.store.last_position() == before


def test_langgraphs_config_can_be_set(api: Client, server: Server) -> None:
    limited = api.start("counting", {"rounds": 9}, config={"recursion_limit": 3}).json()["id"]
    assert api.ended(limited)["error_type"] == "GraphRecursionError"
    telling = api.start("telling", config={"configurable": {"colour": "blue"}}).json()["id"]
    assert api.ended(telling)["status"] == "completed"
    assert server.bench.state(telling)["trail"] == ["blue"]


def test_one_more_than_the_most_executions_at_once_is_refused(
    api: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    running = api.start("gated", {"gate": str(gate)}).json()["id"]
    monkeypatch.setattr(background, "MOST", 1)
    answer = api.start("greeter")
    gate.touch()
    assert (answer.status_code, answer.json()["code"]) == (429, "too-many-executions")
    assert answer.headers["Retry-After"] == "1"
    assert api.ended(running)["status"] == "completed"
