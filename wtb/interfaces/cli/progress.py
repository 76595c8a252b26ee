"""What shows on stderr while an execution runs: its nodes as they begin and end. Only on a terminal."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from wtb.domain.event_log import Recorded
from wtb.domain.execution import NodeCompleted, NodeFailed, NodeInterrupted, NodeStarted
from wtb.domain.identifiers import TaskId, node_path
from wtb.interfaces.cli.output import brief, console, duration, text
from wtb.sdk import TestBench
from wtb.sdk.following import follow


@dataclass
class RunDisplay:
    """Ended nodes as lines that stay, running ones with a spinner below them."""

    console: Console
    running: dict[TaskId, tuple[str, float]] = field(default_factory=dict)
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))

    def take(self, event: Recorded) -> None:
        fact = event.fact
        if not isinstance(fact, NodeStarted | NodeCompleted | NodeFailed | NodeInterrupted):
            return
        name = node_path(fact.namespace, fact.node)
        if fact.attempt > 1:
            name += f" (attempt {fact.attempt})"
        if isinstance(fact, NodeStarted):
            self.running = {**self.running, fact.task: (name, time.monotonic())}
            return
        self.running = {task: shown for task, shown in self.running.items() if task != fact.task}
        mark, style, more = "✓", "green", ""
        if isinstance(fact, NodeFailed):
            mark, style, more = "✗", "red", brief(f"{fact.error.type}: {fact.error.message}")
        elif isinstance(fact, NodeInterrupted):
            mark, style, more = "⏸", "yellow", "waits for an answer" if fact.questions else "stopped inside"
        line = Text.assemble((mark, style), " ", text(name), (f"  {duration(fact.duration_us)}", "dim"))
        self.console.print(Text.assemble(line, "  ", text(more, style)) if more else line)

    def __rich__(self) -> Group:
        now = time.monotonic()
        waiting = [
            Text.assemble(text(name), (f"  {now - began:.0f} s", "dim")) for name, began in self.running.values()
        ] or [Text("…", "dim")]
        return Group(*(Text.assemble(self._frame(now), " ", line) for line in waiting))

    def _frame(self, now: float) -> Text:
        frame = self.spinner.render(now)
        return frame if isinstance(frame, Text) else Text("·")


@contextmanager
def progress(bench: TestBench, execution_id: str, *, shown: bool = True) -> Iterator[None]:
    """Show an execution's progress until the block is left; does nothing unless stderr is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield
        return
    left = threading.Event()
    after = bench.platform.store.last_position()
    display = RunDisplay(console(stderr=True))

    def watch() -> None:
        for event in follow(bench, execution_id, after=after, enough=left.is_set):
            display.take(event)

    watcher = threading.Thread(target=watch, name="wtb-progress", daemon=True)
    with Live(display, console=display.console, transient=True, redirect_stdout=sys.stdout.isatty()):
        watcher.start()
        try:
            yield
        finally:
            left.set()
            watcher.join()
