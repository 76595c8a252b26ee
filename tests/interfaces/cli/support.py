"""An agent in a working folder of its own, and ``wtb`` run on it: in this process, or in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from typer.testing import CliRunner

from wtb.interfaces.cli.main import app
from wtb.sdk import TestBench, WorkflowProject

AGENT = '''
import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, TypedDict
from operator import add

from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class Work(TypedDict, total=False):
    query: str
    notes: Annotated[list[str], add]
    answer: str


def ran(node):
    """Each call of a node leaves a line that survives the process."""
    with open("ran.txt", "a") as file:
        file.write(node + "\\n")


def first(state: Work):
    ran("first")
    print("a node prints")
    return {"notes": ["first"]}


def hold(state: Work):
    """Runs for as long as the file `hold` is there."""
    ran("hold")
    while Path("hold").exists():
        time.sleep(0.01)
    return {"notes": ["hold"]}


async def ahold(state: Work):
    while Path("hold").exists():
        await asyncio.sleep(0.01)


def ask(state: Work):
    return {"answer": interrupt({"question": state["query"]})}


def ask_too(state: Work):
    return {"notes": [interrupt("and you?")]}


def boom(state: Work):
    raise ValueError("no\\nway")


def linear(*nodes):
    graph = StateGraph(Work)
    before = START
    for node in nodes:
        graph.add_node(node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph


plain = linear(first)
held = linear(first, hold)
chatty = linear(first, hold, ask)
aheld = linear(ahold)
asking = linear(first, ask).compile(name="asking")
failing = linear(first, boom)
both = StateGraph(Work).add_node(ask).add_node(ask_too).add_edge(START, "ask").add_edge(START, "ask_too")
unstorable = StateGraph(Work).add_node("lock", lambda state: {"answer": linear}).add_edge(START, "lock")
'''


class Process(subprocess.Popen[str]):
    """A context manager that doesn't wait for the process when the test has failed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, trace)


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Folder:
    """A working folder with `agent.py`; its store is the default one, ``data/wtb.db``."""

    path: Path

    def wtb(self, *words: str, input: str | None = None) -> Outcome:
        """`wtb` in this process, whose working folder this is."""
        result = CliRunner().invoke(app, [*words], input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def start(self, *words: str, **options: Any) -> "Process":
        """`wtb` in a process of its own."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return Process(command(*words), cwd=self.path, text=True, **{**pipes, **options})

    def finish(self, *words: str) -> Outcome:
        with self.start(*words) as process:
            out, err = process.communicate()
        return Outcome(process.returncode, out, err)

    def bench(self) -> TestBench:
        return TestBench(WorkflowProject(name="test", db_path=self.path / "data" / "wtb.db"))

    def ran(self) -> list[str]:
        """The nodes that ran, in all processes."""
        return (self.path / "ran.txt").read_text().split()

    def wait_for_start(self, node: str, bench: TestBench) -> str:
        """Wait until a node has started; its execution."""
        after = 0
        while True:
            for event in bench.log(after=after):
                after = event.position
                if event.type == "NodeStarted" and getattr(event.fact, "node", None) == node:
                    return event.stream.removeprefix("execution-")
            bench.platform.store.wait(after, 1.0)


def command(*words: str) -> Sequence[str]:
    return [sys.executable, "-m", "wtb", *words]


def environment_without_settings() -> Iterator[str]:
    """Names of variables that would change what these tests do."""
    return (name for name in os.environ if name.startswith(("WTB_", "FORCE_COLOR", "NO_COLOR")))
