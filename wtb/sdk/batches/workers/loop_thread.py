"""An event loop in a thread of its own, for coroutines that many threads ask for."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs until `close`. A daemon: what never ends in it doesn't keep the process from exiting."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            while not self._closed:
                # A task that would have the process exit ends the loop; it learns of it as the loop goes on.
                with suppress(SystemExit):
                    self.loop.run_forever()
        finally:
            self.loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def close(self) -> None:
        """Cancel what is left and stop, without waiting for what doesn't obey."""
        self.loop.call_soon_threadsafe(self._cancel_all)

    def _cancel_all(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.create_task(self._stop_after(left))

    async def _stop_after(self, left: set["asyncio.Task[Any]"]) -> None:
        await asyncio.gather(*left, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        self._closed = True
        self.loop.stop()
