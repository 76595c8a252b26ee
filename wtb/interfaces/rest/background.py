"""Executions that go on after the request that began them was answered."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from litestar.exceptions import TooManyRequestsException

from wtb.domain.errors import WtbError
from wtb.domain.event_log import Recorded
from wtb.domain.identifiers import ExecutionId
from wtb.sdk.streaming import RunStream

MOST = 100
"""Executions at once; each has threads of its own."""

logger = logging.getLogger(__name__)


class Background:
    """Runs executions in threads. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[object] = set()
        self._beginning: set[str] = set()

    def begin(self, name: str, begin: Callable[[], RunStream]) -> ExecutionId:
        """Begin a stretch of an execution and return once the log says so; it goes on by itself.

        Those with the same ``name`` begin one after another. Raises what
        ``begin`` raises, or what kept the first event from being recorded.
        """
        place = object()
        with self._changed:
            self._changed.wait_for(lambda: name not in self._beginning)
            if len(self._running) >= MOST:
                raise TooManyRequestsException(f"{MOST} executions are under way")
            self._beginning.add(name)
            self._running.add(place)
        begun: Future[None] = Future()
        try:
            stream = begin()
            threading.Thread(target=self._follow, args=(place, stream, begun), name="wtb-follow").start()
            begun.result()
            return stream.execution_id
        finally:
            with self._changed:
                self._beginning.discard(name)
                self._changed.notify_all()
            if not begun.done():
                self._end(place)

    def _follow(self, place: object, stream: RunStream, begun: "Future[None]") -> None:
        """Take the progress off the run's hands, to its end."""
        try:
            for progress in stream:
                if not begun.done() and isinstance(progress, Recorded):
                    begun.set_result(None)
        except BaseException as failure:  # told to whoever waits for the beginning
            if not begun.done():
                begun.set_exception(failure)
            elif isinstance(failure, WtbError):
                logger.error("execution %s stopped: %s", stream.execution_id, failure)
            else:
                raise
        else:
            if not begun.done():
                begun.set_result(None)
        finally:
            self._end(place)

    def _end(self, place: object) -> None:
        with self._changed:
            self._running.discard(place)
            self._changed.notify_all()

    @property
    def running(self) -> int:
        """How many are under way."""
        return len(self._running)

    def wait(self, seconds: float) -> bool:
        """Wait until none is under way; False when the time ran out."""
        deadline = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, deadline - time.monotonic())
