"""Batches name their cases' values: that neither keeps those of what is erased, nor loses those of what hasn't run."""

from pathlib import Path
from typing import Any

import pytest

from tests.sdk.given import chain, says
from wtb.domain.audit import AUDIT_STREAM, ExecutionErased
from wtb.domain.batch import BatchStarted, Case, CasesAdded, Trial, trial_execution
from wtb.domain.errors import ValueMissing
from wtb.domain.event_log import EMPTY_STREAM, Append, Origin
from wtb.domain.execution import ExecutionStarted
from wtb.domain.identifiers import BatchId, Digest, ExecutionId, WorkerId, batch_stream
from wtb.infra.event_store.journal import Journal
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.beginnings import start
from wtb.sdk.running import Options, drive

BATCH = BatchId("night")
FIRST: dict[str, Any] = {"query": "the first one's, and of some length " * 9, "notes": ["this", "is shared " * 30]}
SECOND: dict[str, Any] = {"query": "the second one's, which nobody has run", "notes": ["this", "is shared " * 30]}


def added(bench: TestBench, **inputs: dict[str, Any]) -> dict[str, Digest]:
    """A batch of these cases is in the log; their inputs' digests."""
    journal = Journal(batch_stream(BATCH), EMPTY_STREAM, bench.platform.origin())
    digests = {id: journal.value(value, bench.platform.saver.serde) for id, value in inputs.items()}
    journal.note(BatchStarted(workflow="notes", graph="g", worker=WorkerId("w"), cases=len(inputs), combinations=({},)))
    journal.note(CasesAdded(cases=tuple(Case(id=id, input=digest) for id, digest in digests.items())))
    bench.platform.saver.committer.commit(journal)
    return digests


def tried(bench: TestBench, case: str, given: dict[str, Any], repeat: int = 0) -> ExecutionId:
    """A trial of the batch's first case has run."""
    name, graph = bench._workflows.register(chain(a=says("x")), None)
    trial = trial_execution(BATCH, Trial(case, 0, repeat), 0)
    origin = bench.platform.origin()
    drive(
        start(bench.platform, trial, name, graph, given, {}, origin, Options(), new=True, batch_case=f"{BATCH}/{case}")
    )
    return trial


def gone(bench: TestBench, digest: Digest) -> bool:
    return bool(bench.platform.store.missing([digest]))


def test_a_trials_input_is_the_very_value_that_its_case_names(bench: TestBench) -> None:
    digests = added(bench, one=FIRST)
    started = bench.events(tried(bench, "one", FIRST))[0].fact
    assert isinstance(started, ExecutionStarted)
    assert started.input == digests["one"]
    assert started.batch_case == "night/one"


def test_an_erased_trial_loses_its_values_though_its_batch_names_them(bench: TestBench) -> None:
    digests = added(bench, one=FIRST, two=SECOND)
    bench.erase(tried(bench, "one", FIRST), reason="asked to")
    assert gone(bench, digests["one"])
    assert not gone(bench, digests["two"])
    verified = bench.verify()
    assert verified.whole, verified.findings
    with pytest.raises(ValueMissing, match=r"night\.0\.0\.0.*was erased"):
        bench.platform.store.values([digests["one"]])


def test_what_only_a_batch_names_stays_with_all_that_it_is_made_of(bench: TestBench) -> None:
    long = {"query": "q", "notes": ["one", "two", *(f"{number} " * 40 for number in range(20))]}
    digests = added(bench, one={**long, "query": "r"}, two=long)
    bench.erase(tried(bench, "one", {**long, "query": "r"}), reason="asked to")
    assert gone(bench, digests["one"])
    assert bench.platform.saver.history.load({digests["two"]})[digests["two"]] == long


def test_another_trial_of_the_case_keeps_its_input_while_it_is_there(bench: TestBench) -> None:
    digests = added(bench, one=FIRST)
    once, twice = tried(bench, "one", FIRST), tried(bench, "one", FIRST, repeat=1)
    bench.erase(once, reason="asked to")
    assert not gone(bench, digests["one"])
    bench.erase(twice, reason="asked to")
    assert gone(bench, digests["one"])
    assert bench.verify().whole


def test_an_archived_trial_takes_its_values_along_and_brings_them_back(bench: TestBench, tmp_path: Path) -> None:
    digests = added(bench, one=FIRST, two=SECOND)
    trial = tried(bench, "one", FIRST)
    [archived] = bench.archive(trial, to=tmp_path / "archive")
    assert gone(bench, digests["one"])
    assert not gone(bench, digests["two"])
    assert bench.verify().whole
    with pytest.raises(ValueMissing, match="was archived to bundle"):
        bench.platform.store.values([digests["one"]])
    bench.import_bundle(archived.file)
    assert not gone(bench, digests["one"])
    assert bench.verify().whole


def test_a_value_of_a_batch_that_nobody_took_away_is_told_as_damage(bench: TestBench) -> None:
    digests = added(bench, one=FIRST, two=SECOND)
    bench.erase(tried(bench, "one", FIRST), reason="asked to")
    store = bench.platform.store
    odd = ExecutionErased(execution=ExecutionId("nobody"), values=1, reason="")
    noted = Append(AUDIT_STREAM, store.head(AUDIT_STREAM), [odd], [1], Origin("vandal"))
    assert store.remove([digests["two"]], store.last_position(), noted)
    verified = bench.verify()
    assert verified.first is not None
    assert verified.first.stream == batch_stream(BATCH)
    assert digests["two"] in verified.first.detail


def test_a_trials_bundle_is_an_executions_also_where_its_batch_is_unknown(bench: TestBench, tmp_path: Path) -> None:
    added(bench, one=FIRST)
    trial = tried(bench, "one", FIRST)
    file = bench.export(trial, tmp_path / "trial.wtb.zip")
    elsewhere = WorkflowProject("elsewhere", db_path=tmp_path / "other.db", output_dir=tmp_path / "other")
    with TestBench(elsewhere) as other:
        assert other.import_bundle(file).id == trial
        assert other.verify().whole
        assert other.state(trial).channels == bench.state(trial).channels
