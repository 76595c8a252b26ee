"""Only this machine's own programs are served, not the pages its browsers show."""

import pytest

from tests.interfaces.rest.given import Client
from wtb.interfaces.rest.loopback import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_goes_by_these_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "example.com", "localhost.example.com", "10.0.0.1", "0.0.0.0", "::"])
def test_everything_else_is_elsewhere(host: str | None) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "example.com:80", "10.0.0.1:8000", "127.0.0.1.example.com", ""])
def test_a_request_to_another_name_is_refused(api: Client, host: str) -> None:
    """As from a page whose name was made to resolve to loopback."""
    answer = api.get("executions", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["https://example.com", "http://localhost.example.com:8000", "null", "file://"])
def test_a_request_from_a_page_of_elsewhere_is_refused(api: Client, origin: str) -> None:
    answer = api.post("executions", json={"workflow": "greeter", "input": {}}, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert api.get("executions").json()["items"] == []


@pytest.mark.parametrize("headers", [{"Host": "localhost:99"}, {"Host": "[::1]"}, {"Origin": "http://localhost:5173"}])
def test_this_machines_own_pages_and_names_are_served(api: Client, headers: dict[str, str]) -> None:
    assert api.get("executions", headers=headers).status_code == 200
