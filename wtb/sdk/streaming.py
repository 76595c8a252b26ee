"""Following an execution while it runs: the run in the background, its progress in order."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator

from wtb.domain.identifiers import ExecutionId
from wtb.sdk.results import RunResult
from wtb.sdk.running import Emit, Progress, Run, adrive, drive

BeginRun = Callable[[Emit], Run]


class RunStream:
    """Iterates over an execution's progress; ``result`` is there when it has ended.

    The run has a thread of its own, so a slow reader doesn't hold it up, and one
    that stops reading doesn't stop it.
    """

    def __init__(self, begin: BeginRun) -> None:
        self._progress: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._run = begin(self._progress.put)
        self._result: RunResult | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="wtb-run", daemon=False)
        self._thread.start()

    @property
    def execution_id(self) -> ExecutionId:
        return self._run.execution

    def _work(self) -> None:
        try:
            self._result = drive(self._run)
        except BaseException as failure:  # noqa: BLE001  # raised again in the reader's thread
            self._failure = failure
        finally:
            self._progress.put(None)

    def __iter__(self) -> Iterator[Progress]:
        while (progress := self._progress.get()) is not None:
            yield progress
        self._progress.put(None)  # for whoever iterates again
        self._raise()

    @property
    def result(self) -> RunResult:
        """How it ended; waits for the end."""
        self._thread.join()
        self._raise()
        assert self._result is not None
        return self._result

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure


class AsyncRunStream:
    """`RunStream` for ``async for``; ``await stream.result()`` for how it ended."""

    def __init__(self, begin: BeginRun) -> None:
        loop = asyncio.get_running_loop()
        self._progress: asyncio.Queue[Progress | None] = asyncio.Queue()

        def emit(progress: Progress) -> None:
            loop.call_soon_threadsafe(self._progress.put_nowait, progress)

        self._run = begin(emit)
        self._task = loop.create_task(adrive(self._run))
        self._task.add_done_callback(lambda _: loop.call_soon(self._progress.put_nowait, None))

    @property
    def execution_id(self) -> ExecutionId:
        return self._run.execution

    async def __aiter__(self) -> AsyncIterator[Progress]:
        while (progress := await self._progress.get()) is not None:
            yield progress
        self._progress.put_nowait(None)
        await self._task

    async def result(self) -> RunResult:
        return await asyncio.shield(self._task)
