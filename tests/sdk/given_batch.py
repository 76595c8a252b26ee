"""Batches as their facts in a store, for what is made of the record; and some whose trials really ran."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.sdk.given import chain, says
from wtb.domain.batch import (
    BatchCompleted,
    BatchFact,
    BatchStarted,
    Case,
    CaseFinished,
    CasesAdded,
    CaseScored,
    Scored,
    Trial,
    TrialStatus,
    Usage,
    trial_execution,
)
from wtb.domain.event_log import Append
from wtb.domain.execution import Failure
from wtb.domain.identifiers import BatchId, Digest, WorkerId, batch_stream
from wtb.infra.event_store.journal import Journal
from wtb.sdk import TestBench

B = BatchId("b1")
TWO: tuple[dict[str, str], ...] = ({"answer": "default"}, {"answer": "short"})
SECOND = 1_000_000


def batch_started(
    cases: int, combinations: Sequence[Mapping[str, str]] = TWO, *, scores: Sequence[str] = ("exact",), **more: Any
) -> BatchStarted:
    return BatchStarted(
        workflow="notes",
        graph="g1",
        worker=WorkerId("ada"),
        cases=cases,
        combinations=tuple(dict(each) for each in combinations),
        scores=tuple(scores),
        **more,
    )


def finished(
    place: int,
    combination: int = 0,
    repeat: int = 0,
    *,
    case: str | None = None,
    batch: BatchId = B,
    status: TrialStatus = "completed",
    error: str | None = None,
    duration_us: int | None = None,
    tokens: int = 0,
    attempts: int = 1,
) -> CaseFinished:
    """A trial of the case that is called c0, c1 and so on by its place."""
    name = case or f"c{place}"
    return CaseFinished(
        case=name,
        combination=combination,
        repeat=repeat,
        execution=trial_execution(batch, Trial(name, combination, repeat), place),
        status=status,
        duration_us=1000 * (place + 1 + combination) if duration_us is None else duration_us,
        attempts=attempts,
        error=None if error is None else Failure(type="ValueError", message=error),
        usage=(Usage(model="small", input_tokens=tokens, output_tokens=1),) if tokens else (),
    )


def scored(
    place: int,
    combination: int = 0,
    repeat: int = 0,
    *,
    case: str | None = None,
    raised: str | None = None,
    **scores: Scored,
) -> CaseScored:
    return told(case or f"c{place}", combination, repeat, scores, raised)


def told(
    case: str, combination: int, repeat: int, scores: Mapping[str, Scored], raised: str | None = None
) -> CaseScored:
    """What scores with any names said, and which raised."""
    errors = {} if raised is None else {raised: Failure(type="TimeoutError", message="no answer")}
    return CaseScored(case=case, combination=combination, repeat=repeat, scores=dict(scores), errors=errors)


def tell(bench: TestBench, *facts: BatchFact, batch: BatchId = B, apart_us: int = SECOND) -> None:
    """Append facts to a batch, the n-th of its stream in second n."""
    store, stream = bench.platform.store, batch_stream(batch)
    head = store.head(stream)
    times = [apart_us * place for place, _ in enumerate(facts, head.version + 1)]
    store.append([Append(stream, head, facts, times, bench.platform.origin(cause="batch"))])


def add_cases(bench: TestBench, cases: Sequence[tuple[str, Any, Any]], batch: BatchId = B) -> None:
    """Cases by id, input and expected, their values stored beside them."""
    store, stream = bench.platform.store, batch_stream(batch)
    journal = Journal(stream, store.head(stream), bench.platform.origin(cause="batch"))
    serde = bench.platform.saver.serde
    journal.note(
        CasesAdded(
            cases=tuple(
                Case(
                    id=id,
                    input=journal.value(given, serde, "(input)"),
                    expected=None if expected is None else journal.value(expected, serde, "(expected)"),
                )
                for id, given, expected in cases
            )
        )
    )
    bench.platform.saver.committer.commit(journal)


def no_cases(number: int) -> CasesAdded:
    """Cases whose values nobody reads."""
    return CasesAdded(cases=tuple(Case(id=f"c{place}", input=Digest("null")) for place in range(number)))


def notes_graph() -> Any:
    return chain(answer=says("long and winding"), close=says("bye"))


def run_batch(bench: TestBench, answers: Sequence[str] = ("long and winding", "short")) -> list[str]:
    """Two cases under two combinations, run for real; the ids of their executions."""
    bench.project.variant("answer", "short", says("short"))
    graph = notes_graph()
    cases = [(f"c{place}", {"query": f"q{place}"}, answer) for place, answer in enumerate(answers)]
    tell(bench, batch_started(len(cases)))
    add_cases(bench, cases)
    ids: list[str] = []
    for place, (case, given, expected) in enumerate(cases):
        for combination, variants in enumerate(TWO):
            end = finished(place, combination, case=case)
            result = bench.run(graph, given, workflow="notes", execution_id=end.execution, variants=variants)
            tell(bench, end, scored(place, combination, case=case, exact=result.state["notes"][0] == expected))
            ids.append(end.execution)
    tell(bench, BatchCompleted(duration_us=SECOND))
    return ids
