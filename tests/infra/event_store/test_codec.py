"""What was stored once can be read for ever, and what is stored today looks as it did.

`golden_events.json` holds an example of every fact type and schema as it was
first stored: its topic, its text, and its compact form in base64. Entries are
added, never changed. A fact's new schema gets a new entry, and its old entry
must then decode, through the upcaster, to what `EXAMPLES` says.
"""

import json
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from wtb.domain.audit import ExecutionArchived, ExecutionErased, ExecutionImported, LogSealed
from wtb.domain.batch import (
    BatchCompleted,
    BatchResumed,
    BatchStarted,
    BatchStopped,
    BatchStopRequested,
    Budget,
    Case,
    CaseFinished,
    CasePreferred,
    CasesAdded,
    CaseScored,
    Price,
    Usage,
)
from wtb.domain.errors import UnknownEvent
from wtb.domain.event_log import GENESIS, AnyFact, Origin
from wtb.domain.execution import (
    BreakpointsSet,
    CancelRequested,
    CheckpointSaved,
    CheckpointsDeleted,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionRecovered,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Failure,
    Forked,
    ForkPoint,
    NodeCompleted,
    NodeFailed,
    NodeInterrupted,
    NodeSkipped,
    NodeStarted,
    PauseRequested,
    Question,
    RollbackUndone,
    RolledBack,
    StateEdited,
    Write,
    WritesSaved,
)
from wtb.domain.identifiers import CheckpointId, Digest, ExecutionId, Namespace, Position, TaskId, WorkerId
from wtb.domain.workflow import (
    EdgeDescribed,
    NodeDescribed,
    VariantPromoted,
    VariantRegistered,
    VariantRestored,
    VariantRetired,
    WorkflowArchived,
    WorkflowRegistered,
    WorkflowRestored,
    WorkflowVersioned,
)
from wtb.infra.event_store import codec
from wtb.infra.event_store.chain import link
from wtb.infra.event_store.compaction import DICTIONARY_1, compact, expand

GOLDEN: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("golden_events.json").read_text("utf-8"))

STREAM = "execution-e1"
TIME_US = 1_763_935_654_123_456
ORIGIN = Origin("ada", "run", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

A = Digest("rNWkRM7BpgcJCA_bMs5kHx0Yy3dqPCVvDeIjnUFC2Xk")
B = Digest("3j_TDxeLkQaSG1JjFZwDpQZ6LiVJTNaEbFVCsC8mFKA")
CHECKPOINT = CheckpointId("1f0c8a7e-0000-6000-8000-000000000001")
EARLIER = CheckpointId("1f0c8a7e-0000-6000-bfff-000000000000")
TASK = TaskId("6f9619ff-8b86-d011-b42d-00c04fc964ff")
ROOT, NESTED = Namespace(""), Namespace("agent:6f9619ff")
WORKER, OTHER_WORKER = WorkerId("host.17.0123456789ab"), WorkerId("host.18.ba9876543210")
PATH = "~__pregel_pull, plan"
WRITES = (Write(channel="messages", value=A), Write(channel="branch:to:act", value=Digest("null")))
FAILURE = Failure(type="ValueError", message='not "a" number\nat all – nowhere', traceback=B)

FACTS: list[AnyFact] = [
    ExecutionStarted(
        workflow="triage",
        graph=A,
        input=B,
        worker=WORKER,
        variants={"plan": "careful"},
        parent=ForkPoint(execution=ExecutionId("e0"), checkpoint=EARLIER),
        batch_case="case-1",
    ),
    PauseRequested(reason="lunch"),
    ExecutionPaused(reason="interrupt", questions=(Question(id="q1", value=A),)),
    ExecutionResumed(worker=WORKER, answers={"q1": B}),
    ExecutionRecovered(worker=OTHER_WORKER, died=WORKER),
    StateEdited(checkpoint=CHECKPOINT, as_node="plan", writes=WRITES),
    RolledBack(to=EARLIER, head=EARLIER, left=EARLIER, reason="wrong turn"),
    RollbackUndone(head=CHECKPOINT, reason="right turn"),
    BreakpointsSet(before=("agent/plan",), after=("act",)),
    ExecutionRetried(worker=WORKER, reason="mended"),
    NodeSkipped(worker=WORKER, node="agent/plan", checkpoints=(CHECKPOINT, EARLIER), writes=WRITES, reason="by hand"),
    Forked(checkpoint=CHECKPOINT, child=ExecutionId("e2")),
    CancelRequested(reason="too dear"),
    ExecutionCancelled(reason="too dear"),
    ExecutionCompleted(duration_us=1_234_567),
    ExecutionFailed(duration_us=99, error=FAILURE, node="plan"),
    NodeStarted(
        node="plan",
        task=TASK,
        namespace=NESTED,
        checkpoint=CHECKPOINT,
        step=3,
        attempt=2,
        path=PATH,
        variant="careful",
    ),
    NodeCompleted(
        node="plan",
        task=TASK,
        namespace=ROOT,
        checkpoint=CHECKPOINT,
        attempt=1,
        path=PATH,
        duration_us=1500,
        writes=WRITES,
        left_graph=True,
    ),
    NodeFailed(
        node="plan", task=TASK, namespace=ROOT, checkpoint=CHECKPOINT, attempt=1, duration_us=1500, error=FAILURE
    ),
    NodeInterrupted(
        node="ask",
        task=TASK,
        namespace=ROOT,
        checkpoint=CHECKPOINT,
        attempt=1,
        path=PATH,
        duration_us=10,
        questions=("q1", "q2"),
        writes=(Write(channel="__interrupt__", value=A),),
    ),
    WritesSaved(task=TASK, namespace=ROOT, checkpoint=CHECKPOINT, path="", writes=WRITES),
    CheckpointSaved(
        checkpoint=CHECKPOINT,
        parent=EARLIER,
        namespace=NESTED,
        step=-1,
        source="input",
        created="2026-11-23T22:47:14.000001+00:00",
        channels={"messages": ("00000001.0.5", A), "count": (2, B), "old": (1.5, None)},
        versions_seen={"__input__": {}, "plan": {"messages": "00000001.0.5", "count": 2}},
        updated=("messages", "count"),
        metadata={"source": "input", "step": -1, "parents": {"": EARLIER}, "tags": ["a", None, True, 0.5]},
        format=4,
    ),
    CheckpointsDeleted(reason="prune", checkpoints=((ROOT, EARLIER), (NESTED, CHECKPOINT))),
    LogSealed(through=Position(1000), events=500, digest="ab" * 32, previous="cd" * 32),
    ExecutionImported(execution=ExecutionId("e1"), bundle="ef" * 32, events=12),
    ExecutionArchived(execution=ExecutionId("e1"), bundle="ef" * 32, values=34, reason="old"),
    ExecutionErased(execution=ExecutionId("e1"), values=34, reason="asked for"),
    WorkflowRegistered(description="answers letters"),
    WorkflowVersioned(
        version="0123456789abcdef",
        nodes=(
            NodeDescribed(path="plan", code="00112233445566aa"),
            NodeDescribed(path="sub", code="aa6655443322110f", graph=True),
        ),
        edges=(
            EdgeDescribed(source="__start__", target="plan"),
            EdgeDescribed(source="plan", target="sub", conditional=True, label="far"),
        ),
        channels={"notes": "list[str] by operator.add"},
        input_schema={"type": "object", "properties": {"notes": {"type": "array"}}},
        output_schema=None,
        reference="agents:triage",
    ),
    VariantRegistered(
        node="sub/answer",
        name="short",
        code="fedcba9876543210",
        kind="coroutine",
        description="at most one sentence",
        reference="agents:short",
    ),
    VariantPromoted(node="sub/answer", name="short", reason="better on letters"),
    VariantRetired(node="sub/answer", name="long", reason="too slow"),
    VariantRestored(node="sub/answer", name="long", reason="faster now"),
    WorkflowArchived(reason="replaced"),
    WorkflowRestored(reason="wanted again"),
    BatchStarted(
        workflow="triage",
        graph="0123456789abcdef",
        worker=WORKER,
        cases=2,
        combinations=({}, {"answer": "short"}),
        repeats=3,
        scores=("exact", "latency"),
        higher_is_better={"latency": False},
        preferences=("judge",),
        executor="processes",
        max_concurrency=8,
        timeout_us=30_000_000,
        attempts=2,
        fail_fast=True,
        share_prefix=True,
        budget=Budget(seconds=60.5, tokens=1_000_000, cost=2.5),
        prices={"small": Price(input=0.5, output=1.5)},
        description="is short better",
    ),
    CasesAdded(
        cases=(
            Case(id="c1", input=A, expected=B, metadata={"topic": "bills"}, source=ExecutionId("e0")),
            Case(id="c2", input=B),
        )
    ),
    BatchResumed(worker=WORKER),
    BatchStopRequested(reason="lunch"),
    CaseFinished(
        case="c1",
        combination=1,
        repeat=2,
        execution=ExecutionId("b1.0.1.2"),
        status="failed",
        duration_us=1_234,
        attempts=2,
        error=Failure(type="ValueError", message="no", traceback=A),
        usage=(Usage(model="small", input_tokens=12, output_tokens=3),),
    ),
    CaseScored(
        case="c1",
        combination=1,
        repeat=2,
        scores={"exact": True, "length": 7, "cost": 0.25, "tone": "kind"},
        errors={"judge": Failure(type="TimeoutError", message="no answer")},
    ),
    CasePreferred(case="c1", repeat=2, a=0, b=1, preference="judge", preferred="b"),
    BatchStopped(reason="budget", detail="1,000,012 tokens"),
    BatchCompleted(duration_us=5_000_000),
]
EXAMPLES = {type(fact).__name__: fact for fact in FACTS}
"""The fact that each type's stored example decodes to, whatever its schema."""

EACH_FACT = pytest.mark.parametrize("fact", FACTS, ids=list(EXAMPLES))
EACH_STORED = pytest.mark.parametrize("topic", list(GOLDEN))


def as_stored(fact: AnyFact, origin: Origin = ORIGIN) -> tuple[str, bytes]:
    """Topic and bytes of a fact that is its stream's first."""
    topic, content = codec.encode(fact, TIME_US, codec.origin_header(origin))
    return topic, link(GENESIS, STREAM, 1, topic, content).encode() + b"\n" + content


# --- Golden --------------------------------------------------------------------------------------


def test_every_fact_type_and_schema_has_a_stored_example() -> None:
    assert set(EXAMPLES) == set(codec.FACTS)
    assert set(GOLDEN) == set(codec.topics(codec.FACTS))


@EACH_STORED
def test_a_stored_example_decodes_to_exactly_the_fact_and_what_was_said_about_it(topic: str) -> None:
    event = codec.decode(7, STREAM, 1, topic, GOLDEN[topic]["text"].encode())
    expected = EXAMPLES[event.type]
    assert type(event.fact) is type(expected)
    assert event.fact == expected
    assert (event.position, event.stream, event.version, event.type) == (7, STREAM, 1, topic.partition("@")[0])
    assert (event.time_us, event.actor, event.cause, event.trace) == (
        TIME_US,
        ORIGIN.actor,
        ORIGIN.cause,
        ORIGIN.trace,
    )


@EACH_FACT
def test_a_fact_is_stored_today_as_its_example_was(fact: AnyFact) -> None:
    topic, state = as_stored(fact)
    assert state.decode() == GOLDEN[topic]["text"]


@EACH_STORED
def test_the_compact_form_of_an_example_can_still_be_read(topic: str) -> None:
    """It can't any more when a dictionary was changed instead of getting a new number."""
    stored = b64decode(GOLDEN[topic]["compact"])
    text = GOLDEN[topic]["text"].encode()
    assert expand(stored) == text
    assert len(stored) < len(text)
    assert expand(compact(text)) == text
    assert expand(text) == text


def test_the_dictionary_of_compact_events_is_the_one_they_were_written_with() -> None:
    assert sha256(DICTIONARY_1).hexdigest() == "c5c870e22e9ce89a849ccafe458e207cc85abf61256e353a4803759303523bdb"


@EACH_STORED
def test_an_examples_chain_digest_is_still_computed_alike(topic: str) -> None:
    digest, content = GOLDEN[topic]["text"].encode().split(b"\n", 1)
    assert link(GENESIS, STREAM, 1, topic, content) == digest.decode()


# --- Encoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        Origin("ada"),
        Origin("", cause="", trace=""),
        Origin("Ada Łovelace\n\0\"'\\", cause="two\nlines"),
        Origin("ada", trace=ORIGIN.trace),
    ],
)
@EACH_FACT
def test_a_fact_reads_back_whoever_caused_it(fact: AnyFact, origin: Origin) -> None:
    topic, state = as_stored(fact, origin)
    event = codec.decode(1, STREAM, 1, topic, state)
    assert event.fact == fact
    assert Origin(event.actor, event.cause, event.trace) == origin
    assert state.count(b"\n") == 2


# --- Versions ------------------------------------------------------------------------------------


@pytest.fixture
def third_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `PauseRequested` had been named ``why`` first, then ``cause``, and ``reason`` since its third shape."""

    def renamed(before: str, after: str) -> codec.Upcaster:
        def upcast(shape: dict[str, Any]) -> dict[str, Any]:
            return {after: shape[before]}

        return upcast

    monkeypatch.setitem(codec.SCHEMAS, "PauseRequested", 3)
    monkeypatch.setitem(codec.UPCASTERS, ("PauseRequested", 1), renamed("why", "cause"))
    monkeypatch.setitem(codec.UPCASTERS, ("PauseRequested", 2), renamed("cause", "reason"))
    monkeypatch.setattr(codec, "_decoders", {})


@pytest.mark.usefixtures("third_schema")
@pytest.mark.parametrize(("schema", "field"), [(1, "why"), (2, "cause"), (3, "reason")])
def test_an_old_shape_is_lifted_step_by_step_to_todays(schema: int, field: str) -> None:
    _, state = as_stored(PauseRequested(reason="lunch"))
    old = state.replace(b'"reason"', f'"{field}"'.encode())
    event = codec.decode(1, STREAM, 1, f"PauseRequested@{schema}", old)
    assert (event.type, event.fact) == ("PauseRequested", PauseRequested(reason="lunch"))


@pytest.mark.usefixtures("third_schema")
def test_a_type_is_found_by_the_topics_of_all_its_schemas() -> None:
    assert codec.topics(["PauseRequested", "Forked"]) == [
        "PauseRequested@1",
        "PauseRequested@2",
        "PauseRequested@3",
        "Forked@1",
    ]


def test_every_schema_before_a_types_current_one_has_an_upcaster() -> None:
    needed = {(name, schema) for name, current in codec.SCHEMAS.items() for schema in range(1, current)}
    assert set(codec.UPCASTERS) == needed
    assert set(codec.SCHEMAS) <= set(codec.FACTS)


@pytest.mark.parametrize(
    "topic", ["MoonLanded@1", "PauseRequested@2", "PauseRequested", "PauseRequested@one", "@1", ""]
)
def test_an_unknown_type_or_a_later_schema_is_refused_by_name(topic: str) -> None:
    _, state = as_stored(PauseRequested())
    with pytest.raises(UnknownEvent, match=repr(topic)):
        codec.decode(1, STREAM, 1, topic, state)
