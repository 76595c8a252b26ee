"""The embedded NATS server: it starts, it ends, and it never outlives its process."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import nats
import pytest

from tests.infra.nats.given import running, until
from wtb.infra.nats import server as module
from wtb.infra.nats.errors import NatsUnavailable
from wtb.infra.nats.server import EmbeddedNats

pytestmark = pytest.mark.nats


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected doesn't."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


def kill(server: EmbeddedNats) -> int:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_it_takes_connections_and_has_jetstream_when_start_returns(server: EmbeddedNats) -> None:
    client = await nats.connect(server.url, allow_reconnect=False)
    assert (await client.jetstream().account_info()).streams == 0
    assert client.max_payload == 8 * 1024 * 1024
    await client.close()


def test_it_listens_on_loopback_only(server: EmbeddedNats) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), 5):
        pass


def test_stop_ends_it_and_may_be_repeated(tmp_path: Path) -> None:
    server = EmbeddedNats(tmp_path).start()
    pid = server.pid
    assert pid is not None
    server.stop()
    server.stop()
    assert not alive(pid)
    assert server.pid is None


async def test_what_a_stream_holds_is_there_after_a_restart_on_the_same_port(tmp_path: Path) -> None:
    with EmbeddedNats(tmp_path) as first:
        url = first.url
        client = await nats.connect(url)
        await client.jetstream().add_stream(name="kept", subjects=["kept"])
        await client.jetstream().publish("kept", b"1")
        await client.close()
    with EmbeddedNats(tmp_path, int(url.rpartition(":")[2])) as second:
        assert second.url == url
        client = await nats.connect(url)
        assert (await client.jetstream().stream_info("kept")).state.messages == 1
        await client.close()


async def test_it_is_started_again_when_it_dies(server: EmbeddedNats) -> None:
    url = server.url
    async with running(server.keep_running()):
        killed = kill(server)
        await until(lambda: server.pid not in (None, killed))
        client = await nats.connect(url)
        assert client.is_connected
        await client.close()


def test_a_folder_has_one_server(server: EmbeddedNats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    with pytest.raises(NatsUnavailable, match="another server"):
        EmbeddedNats(tmp_path / "nats").start()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NatsUnavailable, match="address already in use"):
            EmbeddedNats(tmp_path, port).start()


PARENT = """
import sys
from pathlib import Path
from wtb.infra.nats.server import EmbeddedNats
server = EmbeddedNats(Path(sys.argv[1])).start()
print(server.pid, server.url, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM])
async def test_it_dies_with_the_process_that_started_it(tmp_path: Path, deadly: signal.Signals) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int((await parent.stdout.readline()).split()[0])
    assert alive(pid)
    parent.send_signal(deadly)
    await parent.wait()
    await until(lambda: not alive(pid))


def test_a_killed_process_can_be_followed_by_another_at_once(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline().split()[0])
    parent.kill()
    before = time.monotonic()
    with EmbeddedNats(tmp_path) as server:
        assert not alive(orphan)
        assert server.pid != orphan
    assert time.monotonic() - before < 5
    parent.communicate()
