"""What shows on stderr while a batch works: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from rich.progress import BarColumn, Progress, TextColumn

from wtb.interfaces.cli.output import console, text
from wtb.sdk.batches.progress import BatchProgress
from wtb.sdk.batches.progress import Progress as Told

LINES = 10
"""So many lines in all where there is no terminal."""


@contextmanager
def batch_progress(*, shown: bool = True) -> Iterator[Told | None]:
    """What is to be told how far the batch has got; None when nothing is to be shown."""
    if not shown:
        yield None
        return
    rate = Rate()
    if not sys.stderr.isatty():
        yield Lines(rate).tell
        return
    columns = ("[progress.description]{task.description}", "{task.completed}/{task.total}", "{task.fields[more]}")
    before, count, more = (TextColumn(column) for column in columns)
    with Progress(before, BarColumn(), count, more, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("batch", total=None, more="")

        def tell(now: BatchProgress) -> None:
            words = text(in_words(now, rate.of(now))).markup
            bar.update(task, total=now.total, completed=now.finished, more=words)

        yield tell


class Rate:
    """Trials a second, of those that ended since it was first asked."""

    def __init__(self) -> None:
        self._first: BatchProgress | None = None

    def of(self, now: BatchProgress) -> float | None:
        """None until one has ended."""
        self._first = first = self._first or now
        ended, seconds = now.finished - first.finished, (now.elapsed - first.elapsed).total_seconds()
        return ended / seconds if ended > 0 and seconds > 0 else None


class Lines:
    """A line each time that another tenth of the trials has ended."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._told = -1

    def tell(self, now: BatchProgress) -> None:
        rate = self._rate.of(now)
        part = LINES if now.finished >= now.total else now.finished * LINES // now.total
        if part > self._told:
            self._told = part
            sys.stderr.write(f"{now.finished}/{now.total} trials{_after_comma(in_words(now, rate))}\n")
            sys.stderr.flush()


def in_words(now: BatchProgress, rate: float | None) -> str:
    """``2 failed, 3.1/s, 0:00:12 left, exact 0.83``."""
    parts = [f"{now.failed} failed"] if now.failed else []
    if rate is not None:
        parts.append(f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min")
        if now.finished < now.total:
            parts.append(f"{timedelta(seconds=round((now.total - now.finished) / rate))} left")
    if now.tokens:
        parts.append(f"{now.tokens:,} tokens")
    return ", ".join([*parts, *_means(now.scores)])


def _means(scores: Mapping[str, float]) -> list[str]:
    return [f"{name} {mean:.3g}" for name, mean in scores.items()]


def _after_comma(words: str) -> str:
    return f", {words}" if words else ""
