"""kill -9 at random points: what was acknowledged stays, the trail names what ran, and recovery ends as if nothing was.

What can be known from outside is what nodes told a file that outlives them, and
which events their process was told are durable. Between a commit and what is
told of it there is always a gap, so some statements are inclusions:

- a node that told its start has a durable start; a node with a durable end told its end;
- a node that told its end has a durable end as soon as a node of a later superstep told its start;
- so what had begun and not ended by its own account is shown as running by the trail;
- the nodes that run again are exactly those that the trail shows as begun and not completed.

An acknowledged event is told by its chain digest, and the chain is verified over the stored bytes: so is its content.
"""

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import psycopg
import pytest

from tests.crash_worker import RANKS, Side, Stretch, finish, graph, work
from wtb.domain.event_log import EMPTY_STREAM, GENESIS, Recorded
from wtb.domain.execution import ExecutionCompleted, ExecutionRecovered, NodeCompleted, NodeFailed, NodeStarted
from wtb.domain.identifiers import execution_stream, node_path
from wtb.infra.event_store.chain import link
from wtb.sdk import TestBench, WorkflowProject

LINES = 75
"""About as many as an undisturbed run tells."""

STRETCHES = 4
"""An execution is killed at most one time less."""

LATE_US = 1500
"""How much later than a line the kill may come: longer than a commit takes."""

UNDISTURBED = graph(lambda line: None, asynchronous=False).invoke({"query": "q"})

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__, "tests.crash_worker"])  # children have everything imported when they are born


@dataclass
class Figures:
    kills: int = 0
    while_recovering: int = 0
    executions: int = 0
    recoveries: int = 0
    acknowledged: int = 0
    before_anything_was_durable: int = 0
    with_nodes_running: int = 0
    nodes_running: int = 0
    run_again: int = 0
    """Nodes that told their start a second time, none of which had a durable end."""
    ended_twice: int = 0
    """Those of them that had told their end too, and were killed before it was durable."""


@dataclass
class Witness:
    """What was told from outside about one execution."""

    file: Path
    completed: dict[str, int] = field(default_factory=dict)
    """Each node whose end was durable at a kill, and how often it had started by then."""

    def lines(self) -> list[list[str]]:
        """Stretch, what, and of which node or event."""
        if not self.file.exists():
            return []
        return [line.split(maxsplit=2) for line in self.file.read_text().splitlines()]

    def told(self, what: str, stretch: int | None = None) -> Counter[str]:
        return Counter(name for number, kind, name in self.lines() if kind == what and stretch in (None, int(number)))


# --- what the trail says ------------------------------------------------------------------------------


def name_of(fact: Any) -> str:
    """A fact's or a step's node, a fan-out's piece numbered."""
    kind, place, *_ = fact.path.split(", ")
    name = node_path(fact.namespace, fact.node)
    return f"{name} {int(place)}" if kind == "~__pregel_push" else name


def durable(events: Sequence[Recorded], kind: type[NodeStarted | NodeCompleted]) -> Counter[str]:
    """How often each node has a durable start or end; the graph that is a node tells nothing itself."""
    names = Counter(name_of(event.fact) for event in events if isinstance(event.fact, kind))
    names.pop("sub", None)
    return names


def last_stretch(events: Sequence[Recorded]) -> Sequence[Recorded]:
    recovered = [place for place, event in enumerate(events) if isinstance(event.fact, ExecutionRecovered)]
    return events[recovered[-1] :] if recovered else events


def running(events: Sequence[Recorded]) -> set[str]:
    """The nodes that the trail shows at work when its process died."""
    events = last_stretch(events)
    return set(durable(events, NodeStarted) - durable(events, NodeCompleted))


# --- one execution ------------------------------------------------------------------------------------


def killed(project: WorkflowProject, stretch: Stretch, witness: Witness, rng: random.Random) -> bool:
    """Run a stretch of it in a process that is killed after so many lines; False when it ended before."""
    here, there = _forks.Pipe(duplex=False)
    leave, held = _forks.Pipe(duplex=False)
    left = max(LINES - len(witness.lines()), LINES // 10)
    lines, late_ns = rng.randrange(left), rng.choice((0, rng.randrange(LATE_US * 1000)))
    child = _forks.Process(target=work, args=(project, stretch, Side(witness.file, there), leave), daemon=True)
    child.start()
    there.close()
    seen = 0
    while seen < lines and (read := os.read(here.fileno(), lines - seen)):
        seen += len(read)
    doomed = seen == lines
    if doomed:
        until = perf_counter_ns() + late_ns
        while perf_counter_ns() < until:
            pass
        child.kill()  # it is there: it may not leave yet
    held.close()
    child.join()
    for end in (here, leave):
        end.close()
    assert child.exitcode == (-signal.SIGKILL if doomed else 0)
    _wait_until_gone(project)
    return doomed


def _wait_until_gone(project: WorkflowProject) -> None:
    """Postgres may still be at work on what a dead client asked for."""
    if not project.location.startswith("postgresql"):
        return
    with psycopg.connect(project.location, application_name="onlooker", autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM pg_stat_activity WHERE application_name='doomed'").fetchone():
            pass


def check_after_kill(
    bench: TestBench, execution: str, witness: Witness, stretch: int, before: int, figures: Figures
) -> None:
    """``before`` is how many events there were when the stretch began: it may have been killed before its first."""
    for text in witness.told("told"):
        position, chain = text.split()
        [kept] = bench.log(after=int(position) - 1, limit=1)
        assert (kept.position, kept.chain) == (int(position), chain), "an acknowledged event is lost or changed"

    events = events_of(bench, execution)
    check_the_chain(bench, execution, events)
    starts, ends = witness.told("start", stretch), witness.told("end", stretch)
    begun, completed = durable(events[before:], NodeStarted), durable(events[before:], NodeCompleted)
    assert starts <= begun, "a node ran whose start wasn't durable"
    assert completed <= ends, "a node has a durable end that it didn't come to"
    assert max(begun.values(), default=0) <= 1, "a node was begun twice in one stretch"
    assert set(starts - ends) <= running(events) <= set(RANKS), "the trail doesn't show what was running"
    reached = max((RANKS[name] for name in starts), default=-1)
    assert all(completed[name] for name in ends if RANKS[name] < reached), "a node's end was lost"
    if events:
        shown = {name_of(step) for step in bench.steps(execution) if step.status == "running"}
        assert shown - {"sub"} == running(events), "the steps don't show what was running"
    check_nothing_ran_again(witness)
    witness.completed |= {name: witness.told("start")[name] for name in completed}
    figures.kills += 1
    figures.while_recovering += before > 0
    figures.acknowledged += witness.told("told", stretch).total()
    figures.before_anything_was_durable += not events
    figures.with_nodes_running += bool(running(events))
    figures.nodes_running += len(running(events))


def check_the_chain(bench: TestBench, execution: str, events: Sequence[Recorded]) -> None:
    digest = GENESIS
    rows = bench.platform.store._recorder.read_stream(execution_stream(execution), 0, None)
    for version, (row, event) in enumerate(zip(rows, events, strict=True), start=1):
        stored, _, content = row.state.partition(b"\n")
        digest = link(digest, row.stream, version, row.topic, content)
        assert (row.version, stored.decode()) == (version, digest), "the stream's chain is broken"
        assert (event.position, event.version, event.chain) == (row.position, version, digest)


def check_nothing_ran_again(witness: Witness) -> None:
    started = witness.told("start")
    for name, times in witness.completed.items():
        assert started[name] == times, f"{name} ran again though its end was durable"


def events_of(bench: TestBench, execution: str) -> list[Recorded]:
    """None as well when nothing of it was ever durable."""
    known = bench.platform.store.head(execution_stream(execution)) != EMPTY_STREAM
    return bench.events(execution) if known else []


def disturb_one(
    bench: TestBench, project: WorkflowProject, execution: str, rng: random.Random, figures: Figures
) -> None:
    """Kill an execution up to three times, and check it after each kill and at its end."""
    witness = Witness(Path(project.output_dir) / f"{execution}.told")
    witness.file.parent.mkdir(parents=True, exist_ok=True)
    figures.executions += 1
    for stretch in range(STRETCHES):
        if stretch == STRETCHES - 1 or (stretch > 0 and rng.random() < 0.5):
            finished = finish_it(project, bench, execution, witness, stretch, rng.random() < 0.5)
            check_the_end(bench, execution, witness, finished, figures)
            return
        asynchronous = rng.random() < 0.5
        before = len(events_of(bench, execution))
        if not killed(project, Stretch(execution, stretch, before > 0, asynchronous), witness, rng):
            check_the_end(bench, execution, witness, events_of(bench, execution)[:before], figures)
            return
        check_after_kill(bench, execution, witness, stretch, before, figures)


def finish_it(
    project: WorkflowProject, bench: TestBench, execution: str, witness: Witness, stretch: int, asynchronous: bool
) -> list[Recorded]:
    """Let a new process bring it to its end; the events that there were before."""
    before = events_of(bench, execution)
    ended = any(isinstance(event.fact, ExecutionCompleted) for event in before)
    here, there = _forks.Pipe(duplex=False)
    last = Stretch(execution, stretch, bool(before), asynchronous)
    child = _forks.Process(target=finish, args=(project, last, witness.file, there), daemon=True)
    child.start()
    there.close()
    states = here.recv()
    child.join()
    here.close()
    assert child.exitcode == 0
    assert states == ([] if ended else [UNDISTURBED])
    return before


def check_the_end(
    bench: TestBench, execution: str, witness: Witness, before: Sequence[Recorded], figures: Figures
) -> None:
    """``before`` are the events there were when the last process began."""
    events = bench.events(execution)
    assert bench.execution(execution).status == "completed"
    assert dict(bench.state(execution)) == UNDISTURBED
    assert durable(events, NodeCompleted) == Counter(RANKS.keys())
    assert not any(isinstance(event.fact, NodeFailed) for event in events)
    assert events[: len(before)] == before, "recovery changed the past"
    check_the_chain(bench, execution, events)
    check_nothing_ran_again(witness)
    begun, again = durable(before, NodeStarted), durable(events[len(before) :], NodeStarted)
    assert begun.keys() - durable(before, NodeCompleted).keys() == begun.keys() & again.keys()
    assert witness.told("start") <= durable(events, NodeStarted)
    assert {step.status for step in bench.steps(execution)} <= {"completed", "lost"}
    figures.recoveries += sum(isinstance(event.fact, ExecutionRecovered) for event in events)
    figures.run_again += sum(witness.told("start").values()) - len(RANKS)
    figures.ended_twice += sum(witness.told("end").values()) - len(RANKS)


def disturb(location: str, folder: Path, kills: int, seed: int) -> Figures:
    print(f"CRASH_SEED={seed}")
    rng, figures, doomed = random.Random(seed), Figures(), location
    if location.startswith("postgresql"):
        doomed += ("&" if "?" in location else "?") + "application_name=doomed"
    project = WorkflowProject("crash", db_path=doomed, output_dir=folder / "out")
    with TestBench(WorkflowProject("crash", db_path=location, output_dir=folder / "out")) as bench:
        while figures.kills < kills:
            disturb_one(bench, project, f"execution {figures.executions}", rng, figures)
        assert len(bench.recover()) == 0
    return figures


# --- the tests ----------------------------------------------------------------------------------------


@pytest.fixture
def seed() -> int:
    """A new one each time; CRASH_SEED repeats the moments of a run, as far as processes can be repeated."""
    return int(os.environ.get("CRASH_SEED") or random.SystemRandom().randrange(2**32))


def test_a_killed_process_takes_nothing_with_it(store_location: str, tmp_path: Path, seed: int) -> None:
    figures = disturb(store_location, tmp_path, kills=8, seed=seed)
    assert figures.kills >= 8


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_many_killed_processes_take_nothing_with_them(store_location: str, tmp_path: Path, seed: int) -> None:
    figures = disturb(store_location, tmp_path, kills=200, seed=seed)
    print(figures)
    assert figures.kills >= 200
    assert figures.while_recovering > 20
    assert figures.with_nodes_running > 50
    assert figures.run_again > 20
