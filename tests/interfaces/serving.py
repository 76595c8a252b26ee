"""``wtb serve`` as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.interfaces.rest.given import Client, settings_in

WTB_SERVE = (sys.executable, "-m", "wtb", "serve")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class ServerProcess:
    """A server that listens."""

    process: subprocess.Popen[str]
    url: str
    grpc: str

    @property
    def websocket(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    def client(self) -> Client:
        return Client(base_url=f"{self.url}/api/v1/", timeout=30)

    def end(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return ended(self.process)


def ended(process: subprocess.Popen[str]) -> Ended:
    """What a process said in the end; one that doesn't end is killed, and the test fails."""
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return Ended(process.returncode, out, err)


def start(folder: Path, command: Sequence[str] = WTB_SERVE, **settings: str) -> subprocess.Popen[str]:
    """A server process over a folder, which may not listen yet."""
    wanted = settings_in(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WTB_")}
    given: Mapping[str, str] = {
        "db": wanted.db,
        "output_dir": str(wanted.output_dir),
        "langgraph_json": str(wanted.langgraph_json),
        "port": "0",
        "grpc_port": "0",
        **settings,
    }
    environment |= {f"WTB_{name.upper()}": value for name, value in given.items()}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def serving(folder: Path, command: Sequence[str] = WTB_SERVE, **settings: str) -> Iterator[ServerProcess]:
    """A server process that listens; killed at the end if it still runs."""
    with start(folder, command, **settings) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = re.fullmatch(r"wtb serves (http://127\.0\.0\.1:\d+) grpc (127\.0\.0\.1:\d+)\n", line)
            if ready is None:
                raise AssertionError(f"{line!r} is no ready line; {process.communicate(timeout=10)[1]}")
            yield ServerProcess(process, ready[1], ready[2])
        finally:
            process.kill()
