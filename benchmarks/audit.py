"""What proving costs: the whole log verified, and the hash chain's share of recording."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import contenders, graphs
from benchmarks.measure import Figure, interleaved, medians, peak_megabytes, ratio, seconds
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin, Value
from wtb.domain.execution import (
    CheckpointSaved,
    ExecutionCompleted,
    ExecutionStarted,
    NodeCompleted,
    NodeStarted,
    Write,
)
from wtb.domain.identifiers import NULL_DIGEST, CheckpointId, Digest, Namespace, TaskId, WorkerId, execution_stream
from wtb.infra.event_store import chain
from wtb.infra.event_store.seal import INTERVAL, seal
from wtb.infra.event_store.store import EventStore, open_store
from wtb.infra.event_store.values import digest_of
from wtb.infra.event_store.verification import verify

STEPS = 100
ROOT = Namespace("")
ORIGIN = Origin("benchmark", "run")


def verifying(events: int) -> list[Figure]:
    """A log of executions of 100 steps, sealed every 10,000 events, each step with a value of 500 bytes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(str(Path(folder) / "wtb.db"))
        _fill(store, events)
        sealing = seconds(lambda: seal(store, ORIGIN, 1))
        total = store.last_position()
        before = peak_megabytes()
        cpu = time.process_time()
        verify(store, values=False)
        cpu = time.process_time() - cpu
        taken = interleaved(
            {
                "log": lambda: seconds(lambda: verify(store, values=False)),
                "log and values": lambda: seconds(lambda: verify(store)),
            },
            3,
        )
        grown = peak_megabytes() - before
        found = verify(store)
        assert found.whole
        assert found.values
        store.close()
    log = total / medians(taken)["log"]
    whole = total / medians(taken)["log and values"]
    values_alone = medians(taken)["log and values"] - medians(taken)["log"]
    return [
        Figure(
            f"verify {total:,} events: chains, versions, positions, index, seals",
            "events/s",
            {"log": log, "log, by CPU time": total / cpu},
            {"MB grown": grown},
            "≥ 100,000 events/s",
            log >= 100_000,
        ),
        Figure(
            f"the same with {found.values:,} values and every digest that events name",
            "events/s",
            {"log and values": whole},
            {"µs a value": values_alone / found.values * 1e6},
        ),
        Figure("one seal", "ms", {f"{INTERVAL:,} events": sealing * 1000}),
    ]


def chained(rounds: int, steps: int) -> Figure:
    """The 1,000-step loop recorded as it is, and with a constant for the chain digest."""
    builder, state = graphs.loop(steps), graphs.counting(1000)

    def recorded() -> float:
        return contenders.with_wtb(builder, state, "NORMAL")

    def unchained() -> float:
        link = chain.link
        chain.link = lambda before, stream, version, topic, content: "0" * 64
        try:
            return recorded()
        finally:
            chain.link = link

    taken = interleaved({"with the chain": recorded, "without": unchained}, rounds)
    found = ratio(taken, "with the chain", "without")
    content = os.urandom(400)
    links = 20_000
    one = seconds(lambda: [chain.link("0" * 64, "execution-1", n, "NodeCompleted@1", content) for n in range(links)])
    share = 3 * one / links / (medians(taken)["with the chain"] / steps)
    return Figure(
        f"hash chain's share of recording a loop of {steps} steps",
        "ms/step",
        medians(taken, 1000 / steps),
        {"with / without": found, "share by its own time": share},
        "≤ 5 %",
        found <= 1.05,
        "rounds differ by more than the chain costs, so its own time is told too: three events a step",
    )


def _fill(store: EventStore, events: int) -> None:
    sealed = 0
    for number in range(max(1, events // (3 * STEPS + 2))):
        values: dict[Digest, Value] = {}
        facts = _execution(number, values)
        stream = execution_stream(f"execution-{number}")
        store.append([Append(stream, EMPTY_STREAM, facts, [number] * len(facts), ORIGIN, values)])
        if store.last_position() - sealed >= INTERVAL and number + 1 < events // (3 * STEPS + 2):
            sealed = seal(store, ORIGIN, 1).through


def _execution(number: int, values: dict[Digest, Value]) -> list[Any]:
    facts: list[Any] = [ExecutionStarted(workflow="w", graph="g", input=NULL_DIGEST, worker=WorkerId("w"))]
    parent = None
    for step in range(STEPS):
        value = Value("msgpack", os.urandom(500))
        digest = digest_of(*value)
        values[digest] = value
        checkpoint, task = CheckpointId(f"{number:08}-{step:027}"), TaskId(f"task-{number:08}-{step:022}")
        place: Any = {"node": "step", "task": task, "namespace": ROOT, "checkpoint": checkpoint, "attempt": 1}
        facts += [
            CheckpointSaved(
                checkpoint=checkpoint,
                parent=parent,
                namespace=ROOT,
                step=step,
                source="loop",
                created="2026-01-01T00:00:00+00:00",
                channels={"i": (f"{step:032x}.0.123456789", digest), "branch:to:step": (f"{step:032x}.0.98765", None)},
                versions_seen={"step": {"branch:to:step": f"{step:032x}.0.98765"}},
                updated=("i",),
                metadata={"source": "loop", "step": step, "parents": {}},
                format=4,
            ),
            NodeStarted(**place, step=step, path="~__pregel_pull, step"),
            NodeCompleted(
                **place, path="~__pregel_pull, step", duration_us=10, writes=(Write(channel="i", value=digest),)
            ),
        ]
        parent = checkpoint
    return [*facts, ExecutionCompleted(duration_us=1)]
