"""A batch's result as data frames, CSV, JUnit XML, Markdown, JSON and one HTML page."""

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from junitparser.xunit2 import JUnitXml

from tests.sdk.given_batch import B, batch_started, finished, no_cases, run_batch, scored, tell, told
from wtb.domain.batch import BatchCompleted, BatchFact, BatchStopped, Budget, Price
from wtb.domain.errors import ExtraMissing
from wtb.sdk import TestBench
from wtb.sdk.batches.reports import page
from wtb.sdk.batches.result import BatchResult

NASTY = "<script>alert('1')</script> & $x^2$ | `rm` \x00\x1b[31m\ud800 \\end"
"""What a model may answer, and whoever reads a report mustn't be harmed by."""


def nasty(bench: TestBench) -> BatchResult:
    """Everything that somebody may choose is as bad as can be stored."""
    text = NASTY.replace("\ud800", "")
    tell(
        bench,
        batch_started(
            2,
            ({text: "default"}, {text: text}),
            scores=(text, "label"),
            description=text,
            higher_is_better={"label": None},
        ),
        no_cases(0).model_copy(update={"cases": no_cases(2).cases[:1]}),
        no_cases(0).model_copy(update={"cases": (no_cases(1).cases[0].model_copy(update={"id": text}),)}),
        finished(0, status="failed", error=text),
        finished(0, 1),
        told("c0", 1, 0, {text: True, "label": text}),
        finished(1, case=text),
        told(text, 0, 0, {text: True}, raised=text),
        finished(1, 1, case=text),
        told(text, 1, 0, {text: False}),
        BatchStopped(reason="request", detail=text),
    )
    return bench.batch_result(B)


@pytest.fixture
def mixed(quick_bench: TestBench) -> BatchResult:
    """Two cases, twice under two combinations, of which one trial failed, one raised and one hasn't ended."""
    tell(
        quick_bench,
        batch_started(
            2,
            repeats=2,
            scores=("exact", "length"),
            prices={"small": Price(input=2.0, output=1.0)},
            budget=Budget(tokens=9),
            max_concurrency=4,
        ),
        no_cases(2),
        *(
            fact
            for place, combination, repeat in (
                (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0), (1, 0, 1),
            )
            for fact in (
                finished(place, combination, repeat, tokens=1_000_000),
                scored(place, combination, repeat, exact=combination == 0, length=place + repeat),
            )
        ),
        finished(1, 1, status="failed", error="no way"),
        BatchStopped(reason="budget", detail="9 tokens"),
    )  # fmt: skip
    return quick_bench.batch_result(B)


# --- data frames -----------------------------------------------------------------------------------------


def test_a_frame_has_a_row_for_each_trial_and_columns_for_variants_and_scores(mixed: BatchResult) -> None:
    frame = mixed.to_pandas()
    assert list(frame.columns) == [
        "case", "combination", "repeat", "variant.answer", "status", "score.exact", "score.length", "seconds",
        "attempts", "input_tokens", "output_tokens", "cost", "error", "execution_id",
    ]  # fmt: skip
    assert len(frame) == 7
    row = frame.iloc[2]
    assert (row["case"], row["variant.answer"], row["repeat"], row["cost"]) == ("c0", "short", 0, 2.000001)
    assert frame["score.exact"].dtype == "boolean"
    assert frame["score.length"].dtype == "Int64"
    assert frame["score.exact"].isna().tolist() == [False] * 6 + [True]
    assert frame["error"].dropna().tolist() == ["ValueError: no way"]
    assert frame.groupby("combination")["score.exact"].mean().to_dict() == {"answer=default": 1.0, "answer=short": 0.0}


def test_polars_has_the_same_rows(mixed: BatchResult) -> None:
    frame = mixed.to_polars()
    pandas = mixed.to_pandas()
    assert frame.columns == list(pandas.columns)
    assert frame.height == 7
    assert frame["execution_id"].to_list() == pandas["execution_id"].tolist()
    assert frame["score.exact"].to_list() == [True, True, False, False, True, True, None]


def test_values_of_several_kinds_make_one_column(quick_bench: TestBench) -> None:
    facts: list[BatchFact] = [
        *(finished(place, 0) for place in range(3)),
        scored(0, exact=True, length=True),
        scored(1, exact=0.5, length="long"),
        scored(2, exact=3),
    ]
    tell(quick_bench, batch_started(3, scores=("exact", "length")), no_cases(3), *facts)
    frame = quick_bench.batch_result(B).to_polars()
    assert frame["score.exact"].to_list() == [1.0, 0.5, 3.0]
    assert frame["score.length"].to_list() == ["True", "long", None]


def test_csv_has_the_same_rows(mixed: BatchResult, tmp_path: Path) -> None:
    path = mixed.to_csv(tmp_path / "b.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [row["execution_id"] for row in rows] == [outcome.execution_id for outcome in mixed]
    assert (rows[-1]["score.exact"], rows[-1]["error"]) == ("", "ValueError: no way")


@pytest.mark.parametrize("form", ["to_pandas", "to_polars", "to_html"])
def test_a_batch_in_which_nothing_has_ended_has_empty_reports(quick_bench: TestBench, form: str) -> None:
    tell(quick_bench, batch_started(1), no_cases(1))
    result = quick_bench.batch_result(B)
    assert "0 of 2 trials" in repr(result) + result.to_markdown()
    assert len(getattr(result, form)()) > 0 if form == "to_html" else len(getattr(result, form)()) == 0


# --- JUnit -----------------------------------------------------------------------------------------------


def test_junit_has_a_suite_for_each_combination_and_a_case_for_each_trial(mixed: BatchResult, tmp_path: Path) -> None:
    path = mixed.to_junit(tmp_path / "b.xml")
    document: Any = JUnitXml.fromfile(str(path))
    first, second = list(document)
    assert (first.name, second.name) == ("notes: answer=default", "notes: answer=short")
    assert [case.name for case in second] == ["c0 #0", "c0 #1", "c1 #0", "c1 #1"]
    assert (first.tests, first.failures, first.errors, first.skipped) == (4, 0, 0, 0)
    assert (second.tests, second.failures, second.errors, second.skipped) == (4, 2, 1, 1)
    no, _, failed, left = list(second)
    assert [(type(told).__name__, told.message) for told in no.result] == [("Failure", "no by exact")]
    assert [told.message for told in failed.result] == ["failed: ValueError: no way"]
    assert [told.message for told in left.result] == ["not finished"]
    assert {each.name: each.value for each in no.properties()} == {
        "execution_id": "b1.0.1.0",
        "attempts": "1",
        "score exact": "False",
        "score length": "0",
    }


def test_junit_stays_readable_whatever_stands_in_it(quick_bench: TestBench, tmp_path: Path) -> None:
    path = nasty(quick_bench).to_junit(tmp_path / "b.xml")
    tree = ElementTree.parse(path)
    names = [case.get("name") for case in tree.iter("testcase")]
    assert names[1] == NASTY.replace("\ud800", "").replace("\x00", "\ufffd").replace("\x1b", "\ufffd")


# --- Markdown and JSON -------------------------------------------------------------------------------------


def test_markdown_tells_the_summary_what_changed_and_what_failed(mixed: BatchResult) -> None:
    text = mixed.to_markdown()
    assert re.findall(r"^## (.*)$", text, flags=re.MULTILINE) == [
        "Scores", "Work", "Regressions", "Failures", "How it was run",
    ]  # fmt: skip
    assert "stopped (budget), 7 of 8 trials, 1 failed" in text
    assert "`wtb diff b1.0.0.0 b1.0.1.0`" in text
    assert "| c1 | answer=short | 0 | failed | ValueError: no way | `b1.1.1.0` |" in text


def test_text_in_markdown_is_nothing_but_text(quick_bench: TestBench) -> None:
    text = nasty(quick_bench).to_markdown()
    assert "<script" not in text.replace("\\<script", "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    heads = [number for number, line in enumerate(tables) if set(line) <= set("| -")]
    for head, end in zip(heads, [*heads[1:], len(tables) + 1], strict=True):
        assert len(set(widths[head - 1 : end - 1])) == 1


def test_json_has_everything_but_states(mixed: BatchResult) -> None:
    found = json.loads(mixed.to_json())
    assert (found["status"], found["stop_reason"], found["trials"], found["finished"]) == ("stopped", "budget", 8, 7)
    assert len(found["outcomes"]) == 7
    assert found["failures"][0]["error"] == {"type": "ValueError", "message": "no way", "node": None}
    assert found["scores"][0]["comparisons"][0]["losses"] == 2
    assert found["regressions"][0]["b"] == "b1.0.1.0"
    assert found["cost"] == pytest.approx(12.000006)


# --- HTML ------------------------------------------------------------------------------------------------


class Read(HTMLParser):
    """A page's elements, those that aren't closed, and its text by the heading above it."""

    VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def check_alone(html: str) -> Read:
    """Whether a page needs nothing but itself, and nothing in it runs."""
    read = Read(html)
    assert read.open == []
    assert not read.tags & {
        "script",
        "link",
        "img",
        "image",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "foreignobject",
    }
    assert not [name for _, name, _ in read.attributes if name.startswith("on")]
    references = [value for _, name, value in read.attributes if name in ("href", "xlink:href", "src", "action")]
    assert all(value.startswith("#") for value in references)
    assert "://" not in html
    assert not re.findall(r"url\((?!#)|@import|@font-face", html)
    ids = [value for _, name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in references} <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", html)) <= set(ids)
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    return read


def test_the_page_needs_nothing_but_itself_and_is_the_same_each_time(mixed: BatchResult, tmp_path: Path) -> None:
    html = mixed.to_html(tmp_path / "b.html")
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == html == mixed.to_html()
    text = "".join(check_alone(html).texts)
    assert html.count("<svg") == 5  # means and differences of both scores, and how long it took
    for shown in (
        "stopped (budget), 7 of 8 trials, 1 failed",
        "9 tokens",
        "wtb diff b1.0.0.0 b1.0.1.0",
        "ValueError: no way",
        "exact yes, length 1",
        "threads, 4 at once",
        "answer=short",
    ):
        assert shown in text
    assert "…" in text  # the trial that hasn't ended


def test_whatever_stands_in_a_page_is_shown_and_not_obeyed(quick_bench: TestBench) -> None:
    html = nasty(quick_bench).to_html()
    text = "".join(check_alone(html).texts)
    assert "<script>alert('1')</script> & $x^2$" in text
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", html)
    assert [words for words in drawn if "$x^2$" in words]  # not as a formula
    assert not set(html) & {chr(code) for code in range(32) if chr(code) not in "\n"}


def test_a_page_in_another_process_is_the_same(quick_bench: TestBench, tmp_path: Path) -> None:
    run_batch(quick_bench)
    here = quick_bench.batch_result(B).to_html()
    program = (
        "import sys\nfrom wtb.sdk import TestBench, WorkflowProject\n"
        f"with TestBench(WorkflowProject('p', db_path={str(tmp_path / 'wtb.db')!r})) as bench:\n"
        f"    sys.stdout.write(bench.batch_result('{B}').to_html())\n"
    )
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout == here


def test_a_page_of_many_cases_is_cut_and_says_so(quick_bench: TestBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "MOST_ROWS", 3)
    ends = [finished(place, 0, status="failed", error="no") for place in range(5)]
    tell(quick_bench, batch_started(5), no_cases(5), *ends, BatchCompleted(duration_us=1))
    text = "".join(check_alone(quick_bench.batch_result(B).to_html()).texts)
    assert "2 more cases aren't shown." in text
    assert "2 more aren't shown." in text


# --- without the extra -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "form"),
    [("pandas", "to_pandas"), ("polars", "to_polars"), ("matplotlib", "to_html"), ("junitparser.xunit2", "to_junit")],
)
def test_what_needs_packages_that_are_not_there_says_which_extra_has_them(
    mixed: BatchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, form: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExtraMissing, match="needs packages") as refusal:
        getattr(mixed, form)(*([tmp_path / "b.xml"] if form == "to_junit" else []))
    assert ("wtb[polars]" if package == "polars" else "wtb[batch]") in refusal.value.hint


def test_without_scipy_means_are_shown_but_nothing_is_inferred(
    mixed: BatchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "scipy", None)
    text = mixed.to_markdown()
    assert "100.0 %" in text
    assert "interval" not in text
