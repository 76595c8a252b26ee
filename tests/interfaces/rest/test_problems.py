"""Refusals are problem documents, out of one table."""

import logging
from collections.abc import Iterator

import pytest

from tests.interfaces.rest.given import Client
from wtb.domain import errors
from wtb.domain.errors import WtbError
from wtb.infra.nats.errors import NatsUnavailable
from wtb.interfaces.rest.problems import STATUS, problem_of, respond, told


def tree(root: type[WtbError]) -> Iterator[type[WtbError]]:
    yield root
    for kind in root.__subclasses__():
        yield from tree(kind)


def test_every_error_of_the_domain_has_a_row() -> None:
    assert set(STATUS) == {kind for kind in tree(WtbError) if kind.__module__ == errors.__name__}


def test_an_error_of_another_room_counts_as_the_nearest_above_it() -> None:
    problem = problem_of(NatsUnavailable("no NATS"))
    assert (problem.status, problem.code) == (500, "nats-unavailable")


def test_a_problem_tells_what_its_error_tells() -> None:
    error = errors.ExecutionNotFound("x")
    problem = problem_of(error)
    assert problem.type == "urn:wtb:problem:execution-not-found"
    assert problem.title == "Execution not found"
    assert (problem.status, problem.detail, problem.code, problem.hint) == (404, str(error), error.code, error.hint)


def test_an_unforeseen_error_tells_the_log_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    problem = told(ZeroDivisionError("a secret"))
    assert (problem.status, problem.code) == (500, "internal-error")
    assert "secret" not in repr(problem)
    assert "a secret" in caplog.text


def test_a_refusal_leaves_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        told(errors.ExecutionNotFound("x"))
    assert caplog.text == ""


def test_a_store_that_is_away_is_worth_another_try() -> None:
    response = respond(None, errors.StoreUnavailable("locked"))  # type: ignore[arg-type]  # the request isn't looked at
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_problems_have_their_own_content_type(api: Client) -> None:
    answer = api.get("executions/nobody")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json().keys() == {"type", "title", "status", "detail", "code", "hint"}


@pytest.mark.parametrize("path", ["nothing", "executions/a/b/c", "/", "/api", "/executions"])
def test_a_path_without_a_route_is_told(api: Client, path: str) -> None:
    answer = api.get(str(api.base_url.join(path)) if path.startswith("/") else path)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-resource")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_method_that_a_route_doesnt_have_is_told_with_those_it_has(api: Client) -> None:
    answer = api.delete("executions")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_the_routes_are_described_in_openapi(api: Client) -> None:
    paths = api.get(str(api.base_url.join("/schema/openapi.json"))).raise_for_status().json()["paths"]
    described = {(path.removeprefix("/api/v1"), method) for path, methods in paths.items() for method in methods}
    assert described == {
        ("/health", "get"),
        ("/health/ready", "get"),
        ("/events", "get"),
        ("/executions", "get"),
        ("/executions", "post"),
        ("/executions/{execution}", "get"),
        ("/executions/{execution}/steps", "get"),
        ("/executions/{execution}/checkpoints", "get"),
        ("/executions/{execution}/events", "get"),
        ("/executions/{execution}/state", "get"),
        ("/executions/{execution}/resume", "post"),
    }
