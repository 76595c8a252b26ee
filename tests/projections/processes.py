"""Projectors in processes of their own, some of which are killed in the middle of their work."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event, Semaphore
from typing import Any, Literal

from sqlalchemy import Engine, event

from wtb.infra.event_store.store import open_store
from wtb.projections.database import engine_for
from wtb.projections.projector import Projector

Work = Literal["catch_up", "rebuild"]

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__])  # children have everything imported when they are born


def killed_at(moment: int, location: str, work: Work, batch: int) -> bool:
    """Run a projector that gets SIGKILL just before its n-th statement or commit; False when it had fewer."""
    child = _forks.Process(target=_die, args=(moment, location, work, batch))
    _run(child)
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


@contextmanager
def busy(location: str, *works: Work) -> Iterator[None]:
    """Projectors that work without pause meanwhile, each in a process; they end level with the log."""
    begun, stop = _forks.Semaphore(0), _forks.Event()
    children = [
        _forks.Process(target=_keep_on, args=(location, work, 5 + number, begun, stop))
        for number, work in enumerate(works)
    ]
    for child in children:
        child.start()
    try:
        for _ in children:
            while not begun.acquire(timeout=0.1):
                assert not any(child.exitcode for child in children), "a projector died at its first work"
        yield
    finally:
        stop.set()
        for child in children:
            child.join()
    assert [child.exitcode for child in children] == [0] * len(children)


def _run(child: ForkServerProcess) -> None:
    child.start()
    child.join()


def _die(moment: int, location: str, work: Work, batch: int) -> None:
    engine = engine_for(location)
    _at(moment, engine, lambda: os.kill(os.getpid(), signal.SIGKILL))
    _work(Projector(open_store(location), engine, batch), work)


def _keep_on(location: str, work: Work, batch: int, begun: Semaphore, stop: Event) -> None:
    projector = Projector(open_store(location), engine_for(location), batch)
    _work(projector, work)
    begun.release()
    while not stop.is_set():
        _work(projector, work)
    _work(projector, work)


def _work(projector: Projector, work: Work) -> None:
    if work == "rebuild":
        projector.rebuild()
    else:
        projector.catch_up()


def _at(moment: int, engine: Engine, act: Callable[[], None]) -> None:
    left = moment

    def count(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            act()

    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)
