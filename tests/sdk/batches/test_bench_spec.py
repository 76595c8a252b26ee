"""A bench as text, and opened from it."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from langchain_core.callbacks import BaseCallbackHandler

from tests.sdk.batches.elsewhere import assigned, obedient, other, runner, spec
from wtb.domain.errors import InvalidGraph, InvalidRequest, VariantNotFound, WtbError
from wtb.domain.identifiers import NULL_DIGEST
from wtb.infra.redaction import MASK, Redaction
from wtb.sdk import TestBench, WorkflowProject
from wtb.sdk.batches.workers.bench_spec import BenchSpec
from wtb.sdk.batches.workers.crossing import BENCHES, ended_of, run_across
from wtb.sdk.running import Options


def test_a_bench_opened_from_text_runs_trials_as_the_same_bench_would(project: WorkflowProject) -> None:
    redacting = WorkflowProject(
        project.name, project.db_path, project.output_dir, actor="tester", redact=Redaction(patterns=("secret",))
    )
    with TestBench(redacting) as bench:
        text = spec(bench, told=other).text
        [assignment] = assigned(bench, "a secret", told="other")
        assert ended_of(run_across(text, msgspec.json.encode(assignment).decode())).status == "completed"
        BENCHES.close()
        assert bench.state(assignment.execution)["notes"] == ["before", "other"]
        assert bench.state(assignment.execution)["query"] == f"a {MASK}"
        started = bench.events(assignment.execution)[0]
        assert (started.actor, started.cause) == ("tester", "batch")


def test_the_text_is_the_whole_of_it(quick_bench: TestBench) -> None:
    described = spec(
        quick_bench, options=Options({"recursion_limit": 7, "configurable": {"user": "u"}}, {"tone": "dry"})
    )
    assert BenchSpec.from_text(described.text) == described


def test_a_relative_path_is_the_same_file_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with TestBench(WorkflowProject("notes", db_path="here/wtb.db", output_dir="out")) as bench:
        described = spec(bench)
    assert described.location == str(tmp_path / "here/wtb.db")
    assert described.output_dir == str(tmp_path / "out")


def test_a_password_is_handed_over_but_never_shown(quick_bench: TestBench) -> None:
    described = msgspec.structs.replace(spec(quick_bench), location="postgresql://me:hush@db/wtb")
    assert "hush" in described.text
    assert "hush" not in repr(described)
    assert "hush" not in f"{described}"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (Options({"callbacks": []}), None),
        (Options({"callbacks": [BaseCallbackHandler()]}), "config.callbacks"),
        (Options({"configurable": {"model": object()}}), "config.configurable.model"),
        (Options({"configurable": {"limit": float("inf")}}), "config.configurable.limit"),
        (Options(None, object()), "context"),
        (Options(None, {"by number": {1: "one"}}), "context"),
    ],
)
def test_only_plain_data_crosses(quick_bench: TestBench, options: Options, named: str | None) -> None:
    if named is None:
        spec(quick_bench, options=options)
        return
    with pytest.raises(InvalidRequest, match=f"{named} can't be handed to another process") as refused:
        spec(quick_bench, options=options)
    assert "executor='threads'" in refused.value.hint


def test_what_has_no_name_is_refused_before_anything_runs(quick_bench: TestBench) -> None:
    nameless: Any = obedient.builder.compile()
    with pytest.raises(InvalidRequest, match="the graph of workflow 'notes'"):
        spec(quick_bench, nameless)
    with pytest.raises(InvalidRequest, match="variant 'lambda' of node 'told'"):
        spec(quick_bench, told=lambda state: {})
    with pytest.raises(VariantNotFound):
        BenchSpec.of(quick_bench.project, runner(quick_bench), "notes", obedient, [{"told": "nobody"}])


def test_what_an_assignment_names_is_not_imported(quick_bench: TestBench, tmp_path: Path) -> None:
    (tmp_path / "intruder.py").write_text("def node(state): return {}\n")
    reference = f"{tmp_path / 'intruder.py'}:node"
    [assignment] = assigned(quick_bench, "q", told=reference, before="os:system")
    text = spec(quick_bench).text
    with pytest.raises(VariantNotFound):
        ended_of(run_across(text, msgspec.json.encode(assignment).decode()))
    BENCHES.close()
    assert "intruder" not in sys.modules


def test_errors_keep_their_class_message_and_hint(quick_bench: TestBench) -> None:
    text = msgspec.structs.replace(spec(quick_bench), graph=f"{__name__}:MASK").text
    [assignment] = assigned(quick_bench, "q")
    with pytest.raises(InvalidGraph, match="is no graph, it is str") as refused:
        ended_of(run_across(text, msgspec.json.encode(assignment).decode()))
    assert refused.value.hint == InvalidGraph.hint


def test_a_fault_outside_the_tree_is_told_too(quick_bench: TestBench) -> None:
    with pytest.raises(WtbError, match=r"^DecodeError: ") as refused:
        ended_of(run_across(spec(quick_bench).text, "not an assignment"))
    BENCHES.close()
    assert refused.type is WtbError


def test_a_value_that_is_gone_keeps_the_trial_from_being_begun(quick_bench: TestBench) -> None:
    [assignment] = assigned(quick_bench, "q")
    empty = msgspec.structs.replace(assignment, input=NULL_DIGEST)
    with pytest.raises(WtbError):
        ended_of(run_across(spec(quick_bench).text, msgspec.json.encode(empty).decode()))
    BENCHES.close()
