"""What a process of `ProcessWorkers` does: it opens a bench, reads assignments and writes how they ended, by lines."""

import contextlib
import os
import signal
import socket
import threading
from queue import SimpleQueue
from typing import BinaryIO, cast

from wtb.sdk.batches.workers.crossing import BENCHES, run_across


def main(channel: int) -> None:
    """Serve whoever holds the other end of this socket, until they let go of it.

    When that happens amid a trial they are dead, or want it no longer: the process
    ends at once, and leaves the trial to whoever takes over.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=channel) as connection:
        lines = cast("BinaryIO", connection.makefile("rwb"))
    spec = lines.readline().decode()
    with contextlib.suppress(Exception):  # each assignment will tell
        BENCHES.get(spec)
    lines.write(b"\n")
    lines.flush()
    assignments: SimpleQueue[str | None] = SimpleQueue()
    idle = threading.Event()
    idle.set()
    threading.Thread(target=_read, args=(lines, assignments, idle), name="wtb-assignments", daemon=True).start()
    while (assignment := assignments.get()) is not None:
        reply = run_across(spec, assignment)
        idle.set()
        with contextlib.suppress(BrokenPipeError):  # whoever asked is gone, which the other thread finds
            lines.write(reply.encode() + b"\n")
            lines.flush()
    BENCHES.close()


def _read(lines: BinaryIO, assignments: "SimpleQueue[str | None]", idle: threading.Event) -> None:
    for line in lines:
        idle.clear()
        assignments.put(line.decode())
    if not idle.is_set():
        os._exit(1)
    assignments.put(None)
