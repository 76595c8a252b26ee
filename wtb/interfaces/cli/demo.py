"""``wtb demo``: a support agent is killed in the middle of its work, recovered, and answered.

Nothing is staged but the moment: the run is a process of its own, its log is
watched, and SIGKILL comes when one of three parallel searches is all that is
left running.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

import wtb
from wtb.domain.errors import ExecutionFailedError, ExecutionNotFound, WtbError
from wtb.domain.execution import NodeCompleted, NodeStarted
from wtb.interfaces.cli.asking import show_steps
from wtb.interfaces.cli.doomed import HELD
from wtb.interfaces.cli.output import brief, console, plain, print_json, text
from wtb.interfaces.cli.progress import progress
from wtb.interfaces.cli.refusals import NotInstalled
from wtb.interfaces.cli.running import attended, document, show_questions
from wtb.interfaces.cli.shared import Shared, json_or_text
from wtb.projections.steps import Step
from wtb.sdk import RunResult, TestBench
from wtb.sdk.following import follow
from wtb.sdk.loading import GraphFile
from wtb.sdk.platform import new_execution_id

WORKFLOW = "support_triage"
EXAMPLE = Path("examples") / WORKFLOW / "langgraph.json"


def demo(shared: Shared, ticket: str, answer: str) -> int:
    story = Story(shared)
    example = find_example()
    with shared.output_for_json():
        graph = GraphFile.read(example).load(WORKFLOW)
        with shared.bench() as bench:
            execution = new_execution_id()
            killed = run_and_kill(bench, shared, example, execution, ticket, story)
            before = bench.steps(execution).items
            story.tell_kill(killed, before)
            story.head("Another process recovers it, as `wtb recover` does")
            with attended(bench, execution, shared):
                [recovered] = bench.recover(execution, graph=graph)
            recovered.raise_for_status()
            story.tell_recovery(recovered, before, bench.steps(execution).items)
            given = {"action": answer} if answer in ("approve", "reject") else json_or_text(answer)
            story.head(f"A person answers: {json.dumps(given)}")
            with attended(bench, execution, shared):
                result = bench.resume(execution, given)
            result.raise_for_status()
            trail, checkpoints = bench.steps(execution).items, len(bench.checkpoints(execution))
    if shared.json:
        print_json(
            {
                "execution_id": execution,
                "db": shared.db,
                "killed": {"pid": killed, "signal": int(signal.SIGKILL)},
                "steps_when_killed": before,
                "ran_again": ran_again(before, trail),
                "recovered": document(recovered),
                "result": document(result),
                "steps": trail,
                "checkpoints": checkpoints,
            }
        )
    else:
        story.tell_end(result, trail, checkpoints)
    return 0


def find_example() -> Path:
    """The example's ``langgraph.json``: the checkout's that WTB runs from, or the working folder's.

    Raises `NotInstalled`.
    """
    for root in (Path(wtb.__file__).resolve().parents[1], Path.cwd()):
        if (root / EXAMPLE).is_file():
            return root / EXAMPLE
    raise NotInstalled(
        f"the demo runs {EXAMPLE.parent}, which is in WTB's repository and not in the installed package",
        hint="Run `make demo` in a checkout.",
    )


def run_and_kill(bench: TestBench, shared: Shared, example: Path, execution: str, ticket: str, story: "Story") -> int:
    """Run the example in another process and kill that at its moment. Returns its process id.

    Raises `ExecutionFailedError` when the run ended before it came.
    """
    told = {
        "langgraph_json": str(example),
        "workflow": WORKFLOW,
        "execution_id": execution,
        "input": {"ticket": ticket},
        "db": shared.db,
        "config": str(shared.config) if shared.config else None,
    }
    command = [sys.executable, "-m", "wtb.interfaces.cli.doomed", json.dumps(told)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        story.head(f"Process {process.pid} runs {WORKFLOW} on ticket {ticket}")
        try:
            with progress(bench, execution, shown=not shared.json):
                moment = reached(bench, execution, process)
        finally:
            process.kill()
    if not moment or bench.execution(execution).status != "running":
        raise _ended_early(bench, execution, process.returncode)
    return process.pid


def reached(bench: TestBench, execution: str, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until all searches but the held one have ended; False when the process ended first."""
    started = ended = 0
    for event in follow(bench, execution, enough=lambda: process.poll() is not None):
        fact = event.fact
        if not isinstance(fact, NodeStarted | NodeCompleted) or fact.node != HELD:
            continue
        started += isinstance(fact, NodeStarted)
        ended += isinstance(fact, NodeCompleted)
        searches = len(bench.state(execution)["articles"])  # the checkpoint they read is older than their starts
        if started == searches and ended == searches - 1:
            return True
    return False


def _ended_early(bench: TestBench, execution: str, returncode: int) -> WtbError:
    try:
        found = bench.execution(execution)
    except ExecutionNotFound:
        return ExecutionFailedError(f"the demo's process ended with {returncode} before it began its run")
    if found.status != "failed":
        return ExecutionFailedError(f"execution {execution} was {found.status} before it could be killed")
    return ExecutionFailedError(
        f"execution {execution}: {found.error_type} in node {found.failed_node!r}: {found.error_message}"
    )


def ran_again(before: tuple[Step, ...], after: tuple[Step, ...]) -> list[str]:
    """Nodes that had finished before and were started again after: there are none."""
    done = {step.task for step in before if step.status == "completed"}
    known = {step.position for step in before}
    return [step.node for step in after if step.task in done and step.position not in known]


class Story:
    """What the demo tells a person; silent with ``--json``."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._out = console()
        self._chapter = 0

    def head(self, line: str) -> None:
        if not self._shared.json:
            self._chapter += 1
            self._out.print(Text.assemble("\n", (f"{self._chapter}  ", "bold cyan"), text(line, "bold")))

    def say(self, line: str) -> None:
        if not self._shared.json:
            self._out.print(text(line), soft_wrap=True)  # a wrapped command can't be copied

    def tell_kill(self, killed: int, before: tuple[Step, ...]) -> None:
        self.head(f"kill -9 {killed}, while a node was running. The trail so far:")
        if not self._shared.json:
            show_steps(before)
        ended = sum(step.status != "running" for step in before)
        running = [step.node for step in before if step.status == "running"]
        self.say(f"{ended} steps had ended; running: {', '.join(running)}.")

    def tell_recovery(self, recovered: RunResult, before: tuple[Step, ...], after: tuple[Step, ...]) -> None:
        begun = [step.node for step in after[len(before) :]]
        again = ran_again(before, after)
        self.say(f"Ran: {', '.join(begun)}. Finished nodes that ran again: {', '.join(again) or 'none'}.")
        for interrupt in recovered.interrupts:
            self.say(f"It asks: {interrupt.value['question']} {brief(interrupt.value['reply'])}")

    def tell_end(self, result: RunResult, trail: tuple[Step, ...], checkpoints: int) -> None:
        self.head(f"The whole trail: {len(trail)} steps, {checkpoints} checkpoints, {result.status}")
        show_steps(trail)
        if result.status == "paused":
            show_questions(
                self._shared, result.execution_id, result.interrupts, f"{EXAMPLE.with_name('graph.py')}:graph"
            )
        elif sent := result.state.get("sent"):
            self._tell_mail(plain(sent))
        else:
            self.say(f"Nothing was sent; the decision was {result.state.get('decision')}.")
        self.head("Try next")
        for words in (("show",), ("checkpoints",), ("state",), ("events",)):
            self.say(f"  {self._shared.command(*words, result.execution_id)}")

    def _tell_mail(self, sent: dict[str, Any]) -> None:
        self.head("The mail that was sent")
        self.say(f"To: {sent['to']}\nSubject: {sent['subject']}\n\n{sent['body']}")
