"""What can be asked about executions over REST."""

import json
from typing import Any

import httpx
import msgspec
import pytest

from tests.interfaces.rest.given import Client, client_of
from wtb.domain.cloud_event import CloudEvent, WireEvent
from wtb.interfaces.serve import Server


@pytest.fixture(scope="module", autouse=True)
def history(server: Server) -> dict[str, str]:
    """Executions by workflow, three of the greeter's among them."""
    with client_of(server) as api:
        started = {
            name: api.start(name, execution_id=f"{name}-1").json()["id"]
            for name in ("greeter", "asker", "failing", "rich")
        }
        for number in (2, 3):
            api.start("greeter", execution_id=f"greeter-{number}")
        for execution in (*started.values(), "greeter-2", "greeter-3"):
            api.ended(execution)
    return started


def plain(value: object) -> Any:
    """A reply as it should read: what the SDK gave, as JSON."""
    return json.loads(msgspec.json.encode(value))


def ids(answer: httpx.Response) -> list[str]:
    return [item["id"] for item in answer.raise_for_status().json()["items"]]


@pytest.mark.parametrize("execution", ["greeter-1", "asker-1", "failing-1"])
def test_an_execution_reads_as_in_the_sdk(api: Client, server: Server, execution: str) -> None:
    assert api.get(f"executions/{execution}").json() == plain(server.bench.execution(execution))


@pytest.mark.parametrize("execution", ["greeter-1", "asker-1", "failing-1"])
def test_steps_and_checkpoints_read_as_in_the_sdk(api: Client, server: Server, execution: str) -> None:
    assert api.get(f"executions/{execution}/steps").json() == plain(server.bench.steps(execution))
    assert api.get(f"executions/{execution}/checkpoints").json() == plain(server.bench.checkpoints(execution))


def test_a_page_of_steps_or_checkpoints_can_be_limited(api: Client, server: Server) -> None:
    for what, whole in (
        ("steps", server.bench.steps("greeter-1")),
        ("checkpoints", server.bench.checkpoints("greeter-1")),
    ):
        page = api.get(f"executions/greeter-1/{what}?limit=1").json()
        assert page["items"] == plain(whole.items[:1])
        assert page["next_cursor"]


def test_checkpoints_can_be_asked_for_by_namespace(api: Client, server: Server) -> None:
    root = api.get("executions/greeter-1/checkpoints?namespace=").json()["items"]
    assert root == plain(server.bench.checkpoints("greeter-1").items)
    assert api.get("executions/greeter-1/checkpoints?namespace=other").json()["items"] == []


def test_the_newest_execution_is_listed_first(api: Client, server: Server) -> None:
    listed = api.get("executions").json()
    assert listed == plain(server.bench.executions())
    started = [item["started_at"] for item in listed["items"]]
    assert started == sorted(started, reverse=True)


def test_executions_are_listed_by_status_and_workflow(api: Client) -> None:
    assert ids(api.get("executions?status=paused")) == ["asker-1"]
    assert ids(api.get("executions?workflow=failing")) == ["failing-1"]
    assert sorted(ids(api.get("executions?workflow=greeter&status=completed"))) == [f"greeter-{n}" for n in (1, 2, 3)]
    assert ids(api.get("executions?workflow=greeter&status=failed")) == []


def test_pages_follow_each_other_without_gap_or_repeat(api: Client) -> None:
    found, cursor = [], ""
    while True:
        page = api.get(f"executions?workflow=greeter&limit=1{cursor}").json()
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ids(api.get("executions?workflow=greeter"))
    assert len(found) == 3


def test_a_cursor_of_another_listing_is_refused(api: Client) -> None:
    cursor = api.get("executions?workflow=greeter&limit=1").json()["next_cursor"]
    for query in (f"cursor={cursor}", "cursor=nonsense"):
        answer = api.get(f"executions?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid-cursor")


def test_a_state_is_the_newest_or_that_at_a_checkpoint(api: Client, server: Server) -> None:
    newest, *older = server.bench.checkpoints("greeter-1")
    assert api.get("executions/greeter-1/state").json() == plain(server.bench.state("greeter-1"))
    assert api.get(f"executions/greeter-1/state?at={newest.id}").json()["channels"] == {
        "name": "Ada",
        "trail": ["hello Ada", "bye"],
    }
    assert api.get(f"executions/greeter-1/state?at={older[0].id}").json()["channels"]["trail"] == ["hello Ada"]


def test_values_that_json_has_no_form_for_are_shown_all_the_same(api: Client) -> None:
    point, message, data, nan, numbers, path, nothing = api.get("executions/rich-1/state").json()["channels"]["trail"]
    assert point == {"x": 1}
    assert (message["type"], message["content"], message["id"]) == ("ai", "hi", "m")
    assert data == "AP8="
    assert nan is None
    assert numbers == [2]
    assert path == "/p"
    assert nothing is None


def test_the_log_is_read_in_parts_by_position(api: Client, server: Server) -> None:
    expected = [json.loads(WireEvent.of(event).json) for event in server.bench.log()]
    read: list[Any] = []
    while part := api.get(f"events?limit=7&after={read[-1]['position'] if read else 0}").json():
        assert len(part) <= 7
        read += part
    assert read == expected
    assert len(expected) > 20


def test_an_executions_events_are_cloud_events_in_a_batch(api: Client, server: Server) -> None:
    answer = api.get("executions/asker-1/events")
    assert answer.headers["Content-Type"] == "application/cloudevents-batch+json"
    events = server.bench.events("asker-1")
    assert answer.content == b"[" + b",".join(WireEvent.of(event).json for event in events) + b"]"
    assert [CloudEvent.model_validate(event) for event in answer.json()] == [CloudEvent.of(event) for event in events]
    later = api.get(f"executions/asker-1/events?after={events[1].position}&limit=2").json()
    assert [event["position"] for event in later] == [event.position for event in events[2:4]]


@pytest.mark.parametrize("what", ["", "/steps", "/checkpoints", "/events", "/state", "/state?at=1"])
def test_an_execution_that_isnt_there_is_told(api: Client, what: str) -> None:
    answer = api.get(f"executions/nobody{what}")
    assert (answer.status_code, answer.json()["code"]) == (404, "execution-not-found")


def test_a_checkpoint_that_isnt_there_is_told(api: Client) -> None:
    answer = api.get("executions/greeter-1/state?at=nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "checkpoint-not-found")


@pytest.mark.parametrize(
    "query",
    [
        "executions?limit=0",
        "executions?limit=1001",
        "executions?limit=ten",
        "executions?status=sleeping",
        "executions/greeter-1/steps?limit=-1",
        "executions/greeter-1/checkpoints?limit=x",
        "events?after=-1",
        "events?after=99999999999999999999",
        "events?limit=0",
        "executions/greeter-1/events?after=x",
    ],
)
def test_a_query_that_doesnt_fit_is_refused_by_name(api: Client, query: str) -> None:
    answer = api.get(query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert answer.json()["detail"].startswith(f"query {query.partition('?')[2].partition('=')[0]}: ")
