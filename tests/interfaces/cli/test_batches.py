"""``wtb batch …``: run, listed, shown, stopped, resumed and reported, from a shell."""

import csv
import json
import os
import pty
import signal
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from tests.interfaces.cli.support import Folder, Outcome
from tests.interfaces.cli.test_processes import terminal_output
from wtb.interfaces.cli.batch_progress import Lines, Rate, in_words
from wtb.interfaces.cli.batch_running import prices_given, varied_by
from wtb.sdk.batches.progress import BatchProgress

FLOW = """
import time
from pathlib import Path
from typing import TypedDict

from langgraph.graph import START, StateGraph


class Work(TypedDict, total=False):
    query: str
    answer: str


def answer(state: Work):
    if state["query"] == "bad" and not Path("mended").exists():
        raise ValueError("no\\nway")
    while Path("hold").exists() and state["query"] == "slow":
        time.sleep(0.01)
    print("a node prints")
    return {"answer": state["query"] * 2}


def short(state: Work):
    return {"answer": state["query"]}


graph = StateGraph(Work).add_node(answer).add_edge(START, "answer")


def fits(case, outcome) -> bool:
    return outcome.state["answer"] == case.expected


def shorter(case, a, b):
    return "b" if len(b.state["answer"]) < len(a.state["answer"]) else "tie"
"""

CASES = (
    '{"id": "x", "input": {"query": "x"}, "expected": "x"}\n{"id": "y", "input": {"query": "y"}, "expected": "yy"}\n'
)
BAD = '{"id": "bad", "input": {"query": "bad"}, "expected": "badbad"}\n'
RUN = ("batch", "run", "flow.py:graph", "cases.jsonl", "--id", "b1")
VARIED = ("--variant", "answer=default,flow.py:short", "--score", "flow.py:fits")


@pytest.fixture
def flow(folder: Folder) -> Folder:
    (folder.path / "flow.py").write_text(FLOW)
    (folder.path / "cases.jsonl").write_text(CASES)
    return folder


def refused(outcome: Outcome, code: int, *words: str) -> None:
    """A refusal in two lines, and nothing else."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint: ")
    assert all(word in outcome.err for word in words), outcome.err


# --- running -----------------------------------------------------------------------------------------------


def test_a_batch_is_run_and_its_summary_shown(flow: Folder) -> None:
    done = flow.wtb(*RUN, *VARIED, "--score", "latency", "--preference", "flow.py:shorter", "--repeats", "2")
    assert done.code == 0
    assert "batch b1: completed, 8 of 8 trials" in done.out
    assert "answer=default" in done.out
    assert "answer=short" in done.out
    assert "50.0 %" in done.out
    assert "b preferred" in done.out
    assert "regressions" in done.out
    assert "wtb diff b1.1.0.0 b1.1.1.0" in done.out
    assert "wtb batch report b1 --html FILE" in done.out
    assert done.err.splitlines()[-1].startswith("8/8 trials")


def test_with_json_stdout_is_one_document_and_no_progress_shows(flow: Folder) -> None:
    done = flow.wtb(*RUN, *VARIED, "--json")
    assert (done.json["id"], done.json["status"], done.json["finished"], done.json["failed"]) == (
        "b1",
        "completed",
        4,
        0,
    )
    assert [each["name"] for each in done.json["combinations"]] == ["answer=default", "answer=short"]
    assert "trials" not in done.err
    assert "outcomes" not in done.json


def test_quiet_shows_no_progress(flow: Folder) -> None:
    assert "trials" not in flow.wtb(*RUN, "--quiet").err


def test_a_trial_that_fails_makes_the_exit_code_1_and_is_told(flow: Folder) -> None:
    (flow.path / "cases.jsonl").write_text(CASES + BAD)
    done = flow.wtb(*RUN, *VARIED, "--description", "why not")
    assert done.code == 1
    assert "5 of 6 trials" not in done.out
    assert "6 of 6 trials, 1 failed" in done.out
    assert "ValueError: no way" in done.out
    assert "wtb batch resume b1 --retry-failed" in done.out


def test_failed_trials_are_tried_again_when_asked(flow: Folder) -> None:
    (flow.path / "cases.jsonl").write_text(CASES + BAD)
    assert flow.wtb(*RUN, *VARIED).code == 1
    (flow.path / "mended").touch()
    variant = ("--variant", "answer=flow.py:short")
    again = flow.wtb(
        "batch", "resume", "b1", "--graph", "flow.py:graph", *variant, "--score", "flow.py:fits", "--retry-failed"
    )
    assert again.code == 0, again
    assert "6 of 6 trials\n" in again.out


def test_these_failures_again_are_a_batch(flow: Folder) -> None:
    (flow.path / "cases.jsonl").write_text(CASES + BAD)
    assert flow.wtb(*RUN, "--workflow", "w").code == 1
    words = ("batch", "run", "flow.py:graph", "--workflow", "w", "--json", "--quiet")
    assert flow.wtb(*words, "--from-executions", "failed").json["finished"] == 1
    assert flow.wtb(*words, "--from-batch", "b1").json["finished"] == 3
    assert flow.wtb(*words, "--from-batch", "b1", "--from-executions", "completed").json["finished"] == 2
    assert flow.wtb(*words, "--from-executions", "b1.0.0.0", "--from-executions", "b1.1.0.0").json["finished"] == 2


def test_combinations_and_limits_are_as_asked(flow: Folder) -> None:
    done = flow.wtb(
        *RUN, "--combination", "answer=flow.py:short", "--json", "--attempts", "2", "--timeout", "9",
        "--concurrency", "3", "--budget-tokens", "5", "--budget-seconds", "60", "--budget-cost", "1",
        "--price", "m=1,2.5", "--fail-fast", "--executor", "threads",
    )  # fmt: skip
    settings = done.json["settings"]
    assert settings["combinations"] == [{"answer": "short"}]
    assert settings["budget"] == {"seconds": 60.0, "tokens": 5, "cost": 1.0}
    assert settings["prices"] == {"m": {"input": 1.0, "output": 2.5}}
    names = ("attempts", "timeout_us", "max_concurrency", "fail_fast", "executor")
    assert [settings[name] for name in names] == [2, 9_000_000, 3, True, "threads"]


def test_an_interrupted_batch_says_how_to_go_on_and_does(flow: Folder) -> None:
    (flow.path / "hold").touch()
    (flow.path / "cases.jsonl").write_text(CASES + '{"id": "slow", "input": {"query": "slow"}, "expected": ""}\n')
    with flow.start(*RUN, *VARIED, "--concurrency", "1") as process:
        with flow.bench() as bench:
            while not bench.executions(batch="b1").items or len(bench.executions(batch="b1", status="completed")) < 4:
                bench.platform.store.wait(bench.platform.store.last_position(), 0.1)
            flow.wait_for_start("answer", bench)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130, (out, err)
    [said] = [line for line in err.splitlines() if line.startswith("error: ")]
    go_on = "wtb batch resume b1 --graph flow.py:graph --variant answer=flow.py:short --score flow.py:fits"
    assert said.endswith(f"interrupted; batch b1 is stopped. Go on with: {go_on}")
    shown = flow.wtb("batch", "show", "b1")
    assert "stopped (interrupted)" in shown.out
    assert "wtb batch resume b1" in shown.out
    (flow.path / "hold").unlink()
    done = flow.wtb(*go_on.split()[1:], "--json")
    assert (done.code, done.json["status"], done.json["finished"], done.json["resumed"]) == (0, "completed", 6, 1)


# --- asking ------------------------------------------------------------------------------------------------


@pytest.fixture
def ran(flow: Folder) -> Folder:
    (flow.path / "cases.jsonl").write_text(CASES + BAD)
    assert flow.wtb(*RUN, *VARIED, "--description", "is it short", "--workflow", "w").code == 1
    return flow


def test_batches_are_listed(ran: Folder) -> None:
    listed = ran.wtb("batch", "list")
    assert "is it short" in listed.out
    assert "6/6" in listed.out
    [row] = ran.wtb("batch", "list", "--status", "completed", "--workflow", "w", "--json").json["items"]
    assert (row["id"], row["trials"], row["failed"]) == ("b1", 6, 1)
    assert ran.wtb("batch", "list", "--status", "running").out == "no batches\n"


def test_a_batch_is_shown(ran: Folder) -> None:
    shown = ran.wtb("batch", "show", "b1")
    assert (shown.code, "1 failed" in shown.out, "--retry-failed" in shown.out) == (0, True, True)
    document = ran.wtb("batch", "show", "b1", "--json").json
    assert (document["failed"], document["alive"], document["stop_requested"]) == (1, None, False)
    assert document["failures"][0]["error"]["type"] == "ValueError"


def test_trials_are_listed_by_what_became_of_them(ran: Folder) -> None:
    listed = ran.wtb("batch", "trials", "b1")
    assert listed.out.count("b1.") == 6
    assert "fits" in listed.out
    assert "ValueError: no" in listed.out
    words = ("batch", "trials", "b1", "--json")
    [failed] = ran.wtb(*words, "--status", "failed").json["items"]
    assert (failed["case"], failed["execution"]) == ("bad", "b1.2.0.0")
    page = ran.wtb(*words, "--combination", "1", "--limit", "2").json
    assert [row["case"] for row in page["items"]] == ["x", "y"]
    page = ran.wtb(*words, "--combination", "1", "--limit", "2", "--cursor", page["next_cursor"]).json
    assert [row["case"] for row in page["items"]] == ["bad"]
    assert len(ran.wtb(*words, "--case", "x").json["items"]) == 2


def test_its_executions_are_ordinary_ones(ran: Folder) -> None:
    assert len(ran.wtb("list", "--batch", "b1", "--json").json["items"]) == 6
    assert ran.wtb("show", "b1.0.0.0", "--json").json["batch_case"] == "b1/x"
    assert "b1/x" in ran.wtb("show", "b1.0.0.0").out
    assert ran.wtb("diff", "b1.0.0.0", "b1.0.1.0").code == 1


def test_a_batch_is_stopped_from_outside(ran: Folder) -> None:
    stopped = ran.wtb("batch", "stop", "b1", "--reason", "lunch")
    assert (stopped.code, stopped.out) == (0, "batch b1 is completed\n")
    assert ran.wtb("batch", "stop", "b1", "--json").json["status"] == "completed"


def test_reports_are_written(ran: Folder) -> None:
    written = ran.wtb("batch", "report", "b1", "--html", "b.html", "--junit", "b.xml", "--csv", "b.csv")
    assert written.out.splitlines() == ["Written to b.html", "Written to b.xml", "Written to b.csv"]
    assert "<svg" in (ran.path / "b.html").read_text()
    assert len(list(ElementTree.parse(ran.path / "b.xml").iter("testcase"))) == 6
    with (ran.path / "b.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)].count("completed") == 5
    assert ran.wtb("batch", "report", "b1", "--markdown").out.startswith("# Batch b1\n")
    document = ran.wtb("batch", "report", "b1", "--json", "--csv", "c.csv").json
    assert (len(document["outcomes"]), document["written"]) == (6, ["c.csv"])
    assert "batch b1: completed" in ran.wtb("batch", "report", "b1").out


# --- what can't be done --------------------------------------------------------------------------------------


def test_what_a_batch_can_not_be_run_with_is_refused_before_anything_runs(flow: Folder) -> None:
    run = ("batch", "run", "flow.py:graph")
    (flow.path / "bad.jsonl").write_text('{"id": "x", "input": {"query": "x"}}\nno json\n')
    for words, code, told in (
        ((*run,), 2, "--from-executions"),
        ((*run, "cases.jsonl", "--from-executions", "failed"), 2, "not both"),
        ((*run, "--from-executions", "failed", "--from-executions", "e1"), 2, "not both"),
        ((*run, "--from-executions", "failed", "--from-executions", "paused"), 2, "one status"),
        ((*run, "--from-executions", "failed"), 2, "no cases"),
        ((*run, "--from-executions", "e9"), 3, "e9"),
        ((*run, "nowhere.jsonl"), 2, "nowhere.jsonl"),
        ((*run, "bad.jsonl"), 2, "line 2"),
        ((*run, "cases.jsonl", "--score", "nonsense"), 2, "nonsense"),
        ((*run, "cases.jsonl", "--score", "contains"), 2, "contains:CHANNEL"),
        ((*run, "cases.jsonl", "--score", "cost"), 2, "--price"),
        ((*run, "cases.jsonl", "--score", "latency:answer"), 2, "latency"),
        ((*run, "cases.jsonl", "--score", "flow.py:nothing"), 3, "nothing"),
        ((*run, "cases.jsonl", "--preference", "shorter"), 2, "shorter"),
        ((*run, "cases.jsonl", "--variant", "answer"), 2, "node=default,short"),
        ((*run, "cases.jsonl", "--variant", "answer=nothing"), 3, "nothing"),
        ((*run, "cases.jsonl", "--variant", "nothing=flow.py:short"), 3, "nothing"),
        ((*run, "cases.jsonl", "--combination", "answer"), 2, "node=short,other=default"),
        ((*run, "cases.jsonl", "--variant", "answer=default", "--combination", "answer=default"), 2, "one of them"),
        ((*run, "cases.jsonl", "--price", "m=1"), 2, "model=0.5,1.5"),
        ((*run, "cases.jsonl", "--budget-cost", "1"), 2, "price"),
        (("batch", "run", "nothing.py:graph", "cases.jsonl"), 3, "nothing.py"),
        (("batch", "show", "b9"), 3, "b9"),
        (("batch", "trials", "b9"), 3, "b9"),
        (("batch", "stop", "b9"), 3, "b9"),
        (("batch", "report", "b9"), 3, "b9"),
        (("batch", "resume", "b9", "--graph", "flow.py:graph"), 3, "b9"),
    ):
        refused(flow.wtb(*words), code, told)
    assert flow.wtb("batch", "list").out == "no batches\n"


def test_an_id_that_is_taken_is_refused(ran: Folder) -> None:
    refused(ran.wtb(*RUN), 4, "b1")


def test_a_file_that_can_not_be_written_is_refused(ran: Folder) -> None:
    for option in ("--html", "--junit", "--csv"):
        refused(ran.wtb("batch", "report", "b1", option, "no/such/folder"), 2, "no/such/folder")


def test_with_json_a_refusal_is_an_object(flow: Folder) -> None:
    outcome = flow.wtb("batch", "show", "b9", "--json")
    assert json.loads(outcome.err)["code"] == "batch-not-found"


# --- reading options, and progress -----------------------------------------------------------------------------


def test_variants_and_combinations_are_read_as_they_are_written(flow: Folder) -> None:
    assert varied_by([], []) is None
    assert varied_by(["a=x,default", "b=y", "a=z"], []) == {"a": ["x", "default", "z"], "b": ["y"]}
    assert varied_by([], ["a=x, b=y", "a=default"]) == [{"a": "x", "b": "y"}, {"a": "default"}]
    assert list(prices_given(["gpt=5=1,2"])) == ["gpt=5"]


def progress(finished: int, seconds: float, **more: object) -> BatchProgress:
    told = {"total": 40, "failed": 0, "running": 1, "tokens": 0, "scores": {}, **more}
    return BatchProgress(finished=finished, elapsed=timedelta(seconds=seconds), **told)  # type: ignore[arg-type]


def test_progress_tells_rate_time_left_failures_tokens_and_scores() -> None:
    rate = Rate()
    assert rate.of(progress(20, 0)) is None  # a resumed batch: what had ended before doesn't count
    now = progress(30, 5, failed=2, tokens=1234, scores={"[exact]": 0.5})
    assert in_words(now, rate.of(now)) == "2 failed, 2.0/s, 0:00:05 left, 1,234 tokens, [exact] 0.5"
    slow = progress(21, 60)
    assert in_words(slow, rate.of(slow)) == "1.0/min, 0:19:00 left"


def test_on_a_terminal_there_is_a_bar(flow: Folder) -> None:
    ours, theirs = pty.openpty()
    with flow.start(*RUN, *VARIED, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "200"}) as process:
        os.close(theirs)
        out, _ = process.communicate()
        shown = terminal_output(ours)
    assert process.returncode == 0
    assert "4/4" in shown
    assert "fits 0.5" in shown
    assert "4/4" not in out


def test_without_a_terminal_there_is_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(Rate())
    for finished in range(41):
        lines.tell(progress(finished, finished))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 11
    assert said[0] == "0/40 trials"
    assert said[-1] == "40/40 trials, 1.0/s"
