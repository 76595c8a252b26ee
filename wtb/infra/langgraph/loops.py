"""LangGraph's loops, told to save in the thread they run in.

LangGraph hands every save to a pool thread (or a task) and, durable step by step,
waits for it. A recording only queues what it is given and commits when the next
node starts, so the hand-over would cost several times the save.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from types import FunctionType, MethodType
from typing import Any, TypeVar

from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.langgraph.internals import CONF, AsyncPregelLoop, Pregel, SyncPregelLoop

Submit = Callable[..., Any]
"""LangGraph's way to have work done elsewhere: the work and its arguments in, a future out."""

G = TypeVar("G", bound=Pregel[Any, Any, Any, Any])

_SAVED: "Future[None]" = Future()
_SAVED.set_result(None)


class _SavingInPlace:
    """Stands between a loop and what it submits work to."""

    checkpointer: Any
    config: Any
    tasks: dict[str, Any]
    _elsewhere: Submit
    _submit: Submit

    @property
    def submit(self) -> Submit:
        return self._submit

    @submit.setter
    def submit(self, elsewhere: Submit) -> None:
        # Set anew each time the loop is entered. A nested graph's own foreign checkpointer is left alone.
        saver = self.checkpointer
        queues = isinstance(saver, EventSourcedSaver) and saver.queues(self.config[CONF]["thread_id"])
        self._elsewhere = elsewhere
        self._submit = self._save_here if queues else elsewhere

    def _save_here(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        raise NotImplementedError

    def _resume_error_handlers_if_applicable(self) -> None:
        # LangGraph makes a handler's task anew, and would run it again though it has ended.
        before = {*self.tasks}
        super()._resume_error_handlers_if_applicable()  # type: ignore[misc]
        handlers = {id: task for id, task in self.tasks.items() if id not in before}
        if handlers:
            self._reapply_writes_to_succeeded_nodes(handlers)  # type: ignore[attr-defined]


class RecordedLoop(_SavingInPlace, SyncPregelLoop):
    """The loop behind ``stream`` and ``invoke``."""

    def _save_here(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if work == self._checkpointer_put_after_previous or work == self.checkpointer_put_writes:
            try:
                work(*args)
            except Exception:  # noqa: BLE001 - it fails again there, where LangGraph listens for failures
                return self._elsewhere(work, *args, **options)
            return _SAVED
        return self._elsewhere(work, *args, **options)


class AsyncRecordedLoop(_SavingInPlace, AsyncPregelLoop):
    """The loop behind ``astream`` and ``ainvoke``."""

    def _save_here(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        assert self.checkpointer is not None
        try:
            if work == self._checkpointer_put_after_previous:
                _previous, _delta_writes, *checkpoint = args
                self.checkpointer.put(*checkpoint)
            elif work == self.checkpointer_put_writes:
                self.checkpointer.put_writes(*args)
            else:
                return self._elsewhere(work, *args, **options)
        except Exception:  # noqa: BLE001 - as above
            return self._elsewhere(work, *args, **options)
        saved = asyncio.get_running_loop().create_future()
        saved.set_result(None)
        return saved


def saving_in_place(graph: G) -> G:
    """The graph itself, whose runs save in the thread they run in. Only for WTB's own copies of graphs."""
    return running_with(graph, RecordedLoop, AsyncRecordedLoop)


def running_with(graph: G, loop: type[SyncPregelLoop], async_loop: type[AsyncPregelLoop]) -> G:
    """The graph itself, whose runs go through these loops."""
    graph.stream = MethodType(_stream_with(loop), graph)  # type: ignore[method-assign]
    graph.astream = MethodType(_astream_with(async_loop), graph)  # type: ignore[method-assign]
    return graph


@cache
def _stream_with(loop: type[SyncPregelLoop]) -> FunctionType:
    return _with(Pregel.stream, SyncPregelLoop=loop)


@cache
def _astream_with(loop: type[AsyncPregelLoop]) -> FunctionType:
    return _with(Pregel.astream, AsyncPregelLoop=loop)


def _with(function: Any, **names: type) -> FunctionType:
    """A function for which some of its module's names mean something else."""
    rebound = FunctionType(
        function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__, None
    )
    rebound.__kwdefaults__ = function.__kwdefaults__
    return rebound
