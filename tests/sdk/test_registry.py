"""What is decided about a workflow rests on how it stands now, whoever changed it."""

import threading

import pytest

from tests.sdk.batches.elsewhere import obedient, other
from tests.sdk.given import chain, says
from wtb.domain.errors import InvalidRequest, InvalidState, WorkflowNotFound
from wtb.domain.event_log import Origin
from wtb.domain.identifiers import workflow_stream
from wtb.domain.workflow import Workflow, WorkflowArchived, WorkflowFact, WorkflowRegistered, WorkflowRestored
from wtb.domain.workflow_decisions import archive, register, restore
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.registry import Registry

ADA = Origin("ada")


def test_an_unknown_workflow_is_not_registered_and_deciding_about_it_writes_nothing(bench: TestBench) -> None:
    registry = Registry(bench.platform.store)
    with pytest.raises(WorkflowNotFound):
        registry.decide("nobody", lambda state: archive("nobody", state, ""), ADA)
    assert registry.state("nobody") == Workflow()
    assert bench.log() == []


def test_what_one_process_decided_another_sees_at_once(bench: TestBench, project: WorkflowProject) -> None:
    here = Registry(bench.platform.store)
    with TestBench(project) as other:
        there = Registry(other.platform.store)
        here.decide("triage", register, ADA)
        assert there.state("triage").registered
        there.decide("triage", lambda state: archive("triage", state, "old"), ADA)
        assert here.state("triage").archived
        here.decide("triage", lambda state: restore("triage", state, "wanted"), ADA)
        assert not there.state("triage").archived
    assert [event.type for event in bench.log()] == ["WorkflowRegistered", "WorkflowArchived", "WorkflowRestored"]


def test_what_is_so_already_is_not_written_again(bench: TestBench) -> None:
    registry = Registry(bench.platform.store)
    registry.decide("triage", register, ADA)
    registry.decide("triage", register, ADA)
    registry.decide("triage", lambda state: restore("triage", state, ""), ADA)
    assert [event.type for event in bench.log()] == ["WorkflowRegistered"]


def test_who_was_second_decides_again_on_what_the_first_has_made_of_it(bench: TestBench) -> None:
    registry, other = Registry(bench.platform.store), Registry(bench.platform.store)
    seen: list[bool] = []

    def toggled(state: Workflow) -> list[WorkflowFact]:
        if not seen:
            other.decide("triage", register, ADA)
        seen.append(state.registered)
        return [WorkflowArchived()] if state.registered else [WorkflowRegistered()]

    assert registry.decide("triage", toggled, ADA).archived
    assert seen == [False, True]
    assert [event.type for event in bench.log()] == ["WorkflowRegistered", "WorkflowArchived"]


def test_threads_that_decide_at_once_lose_nothing(bench: TestBench) -> None:
    registry = Registry(bench.platform.store)
    registry.decide("triage", register, ADA)

    def toggle(state: Workflow) -> list[WorkflowFact]:
        return [WorkflowRestored() if state.archived else WorkflowArchived()]

    threads = [
        threading.Thread(target=lambda: [registry.decide("triage", toggle, ADA) for _ in range(5)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = bench.platform.store.read(workflow_stream("triage"))
    assert [event.type for event in events[1:]] == ["WorkflowArchived", "WorkflowRestored"] * 10
    assert not registry.state("triage").archived


def test_what_is_refused_notes_neither_a_workflow_nor_its_variants(bench: TestBench) -> None:
    graph = chain(a=says("a"))
    bench.project.variant("a", "other", says("other"))
    with pytest.raises(InvalidState):
        bench.run(graph, {"unknown": 1})
    with pytest.raises(InvalidRequest):
        bench.batch(graph, [{"query": "q"}], variants={"a": ["default", "other"]}, repeats=0)
    assert bench.log() == []
    bench.run(graph, {"query": "q"})
    assert [event.type for event in bench.log()][:3] == ["WorkflowRegistered", "WorkflowVersioned", "VariantRegistered"]


def test_variants_that_processes_load_are_noted_once(bench: TestBench) -> None:
    variants = {"told": ["default", other]}
    result = bench.batch(obedient, [{"query": "a"}, {"query": "b"}], variants=variants, executor="processes")
    assert {outcome.status for outcome in result} == {"completed"}
    assert [event.type for event in bench.log()].count("VariantRegistered") == 1
