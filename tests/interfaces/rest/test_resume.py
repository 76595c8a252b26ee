"""Answering what executions wait for over REST."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interfaces.rest.given import Client
from wtb.interfaces.serve import Server


@pytest.fixture
def paused(api: Client) -> str:
    """An execution that waits for one answer."""
    execution: str = api.start("asker").json()["id"]
    assert api.ended(execution)["status"] == "paused"
    return execution


def test_an_answer_lets_the_execution_go_on(api: Client, server: Server, paused: str) -> None:
    answer = api.post(f"executions/{paused}/resume", json={"answer": {"yes": [1, None]}})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/v1/executions/{paused}"
    assert [event.type for event in server.bench.events(paused)].count("ExecutionResumed") == 1
    assert api.ended(paused)["status"] == "completed"
    assert server.bench.state(paused)["trail"] == ["hello Ada", {"yes": [1, None]}, "bye"]


def test_null_is_an_answer(api: Client, server: Server, paused: str) -> None:
    assert api.post(f"executions/{paused}/resume", json={"answer": None}).status_code == 202
    assert api.ended(paused)["status"] == "completed"
    assert server.bench.state(paused)["trail"] == ["hello Ada", None, "bye"]


def test_several_questions_are_answered_by_their_ids(api: Client, server: Server) -> None:
    execution = api.start("both").json()["id"]
    first, second = api.ended(execution)["waiting"]
    api.post(f"executions/{execution}/resume", json={"answers": {second: 2}}).raise_for_status()
    assert api.ended(execution)["waiting"] == [first]
    api.post(f"executions/{execution}/resume", json={"answers": {first: 1}}).raise_for_status()
    assert api.ended(execution)["status"] == "completed"
    assert sorted(server.bench.state(execution)["trail"]) == [1, 2]


def test_one_answer_to_several_questions_is_refused(api: Client) -> None:
    execution = api.start("both").json()["id"]
    waiting = api.ended(execution)["waiting"]
    answer = api.post(f"executions/{execution}/resume", json={"answer": 1})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-answer")
    assert all(id in answer.json()["detail"] for id in waiting)
    assert api.ended(execution)["waiting"] == waiting


def test_an_answer_to_a_question_that_doesnt_wait_is_refused(api: Client, server: Server, paused: str) -> None:
    before = server.bench.events(paused)
    answer = api.post(f"executions/{paused}/resume", json={"answers": {"nobody-asked": 1}})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-answer")
    assert server.bench.events(paused) == before


@pytest.mark.parametrize("body", [{"answer": 1, "answers": {}}, {"answers": [1]}, {"reply": 1}, 1], ids=repr)
def test_a_body_that_doesnt_fit_is_refused(api: Client, server: Server, paused: str, body: object) -> None:
    before = server.bench.events(paused)
    answer = api.post(f"executions/{paused}/resume", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid-request")
    assert server.bench.events(paused) == before


def test_an_execution_that_ended_cant_be_resumed(api: Client) -> None:
    execution = api.start("greeter").json()["id"]
    api.ended(execution)
    answer = api.post(f"executions/{execution}/resume", json={"answer": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-resumable")


def test_an_execution_that_runs_cant_be_resumed(api: Client, tmp_path: Path) -> None:
    execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
    answer = api.post(f"executions/{execution}/resume", json={"answer": 1})
    (tmp_path / "gate").touch()
    assert (answer.status_code, answer.json()["code"]) == (409, "execution-taken")
    assert api.ended(execution)["status"] == "completed"


def test_an_execution_that_isnt_there_cant_be_resumed(api: Client) -> None:
    answer = api.post("executions/nobody/resume", json={"answer": 1})
    assert (answer.status_code, answer.json()["code"]) == (404, "execution-not-found")


def test_of_many_answers_at_once_one_is_taken(api: Client, server: Server, paused: str) -> None:
    def resume(answer: int) -> int:
        return api.post(f"executions/{paused}/resume", json={"answer": answer}).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(resume, range(8)))
    assert sorted(answers) == [202] + [409] * 7
    assert api.ended(paused)["status"] == "completed"
    assert server.bench.state(paused)["trail"] == ["hello Ada", answers.index(202), "bye"]
