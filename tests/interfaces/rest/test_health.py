"""Whether a server says how it is."""

import socket
from pathlib import Path

from tests.interfaces.rest.given import Client, client_of, server_in_thread, settings_in, until
from wtb.interfaces.serve import Server


def test_a_server_that_answers_is_alive(api: Client) -> None:
    answer = api.get("health")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


def test_it_is_ready_once_events_arrive_and_all_are_passed_on(api: Client, server: Server) -> None:
    until(lambda: api.get("health/ready").status_code == 200)
    api.ended(api.start("greeter").json()["id"])
    end = server.bench.platform.store.last_position()
    ready = {
        "status": "ready",
        "position": end,
        "read_model_lag": 0,
        "relay_lag": 0,
        "listening": True,
        "running": 0,
    }
    until(lambda: api.get("health/ready").json() == ready)


def test_executions_under_way_are_counted(api: Client, tmp_path: Path) -> None:
    execution = api.start("gated", {"gate": str(tmp_path / "gate")}).json()["id"]
    running = api.get("health/ready").json()["running"]
    (tmp_path / "gate").touch()
    assert running == 1
    api.ended(execution)
    until(lambda: api.get("health/ready").json()["running"] == 0)


def test_without_nats_it_isnt_ready_but_records_all_the_same(tmp_path: Path) -> None:
    with socket.socket() as nobody:  # holds the port, and doesn't listen
        nobody.bind(("127.0.0.1", 0))
        url = f"nats://127.0.0.1:{nobody.getsockname()[1]}"
        with server_in_thread(settings_in(tmp_path, nats_url=url)) as server, client_of(server) as api:
            execution = api.start("greeter").raise_for_status().json()["id"]
            assert api.ended(execution)["status"] == "completed"
            answer = api.get("health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "not-ready")
    assert answer.json()["relay_lag"] == answer.json()["position"] > 0
