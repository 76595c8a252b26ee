"""A batch's result as JUnit XML, which every CI shows: a suite for each combination, a test case for each trial."""

from pathlib import Path
from typing import TYPE_CHECKING

from wtb.domain.batch import FAILED, Trial
from wtb.domain.errors import ExtraMissing
from wtb.sdk.batches.outcome import Outcome
from wtb.sdk.batches.result import BatchResult

if TYPE_CHECKING:
    from junitparser import Error, Failure, Skipped
    from junitparser.xunit2 import JUnitXml, TestCase


def write_junit(result: BatchResult, path: Path) -> Path:
    junit(result).write(str(path), pretty=True)
    return path


def junit(result: BatchResult) -> "JUnitXml":
    """The same record makes the same document. Text that XML can't hold is replaced."""
    try:
        from junitparser.xunit2 import JUnitXml, TestSuite
    except ImportError as missing:
        raise ExtraMissing("to_junit", "batch") from missing
    document = JUnitXml(xml_text(f"batch {result.id}"))
    suites = [TestSuite(xml_text(f"{result.workflow}: {name}")) for name in result.names]
    for suite, combination in zip(suites, result.combinations, strict=True):
        suite.timestamp = result.started_at.isoformat(timespec="seconds")
        suite.add_property("batch", xml_text(result.id))
        for node, variant in combination.items():
            suite.add_property(f"variant {xml_text(node)}", xml_text(variant))
    # Appended: `add_testcase` counts all of them anew each time.
    for outcome in result.outcomes:
        suites[outcome.trial.combination].append(_ended(result, outcome))
    for trial in result.unfinished:
        suites[trial.combination].append(_unfinished(result, trial))
    for suite in suites:
        suite.update_statistics()
        document.append(suite)
    document.update_statistics()
    return document


def _ended(result: BatchResult, outcome: Outcome) -> "TestCase":
    case = _named(result, outcome.trial, outcome.duration.total_seconds())
    properties = {
        "execution_id": outcome.execution_id,
        "attempts": str(outcome.attempts),
        **{f"score {name}": str(value) for name, value in outcome.scores.items()},
    }
    for name, value in properties.items():
        case.add_property(xml_text(name), xml_text(value))
    if (verdict := _verdict(outcome)) is not None:
        case.append(verdict)
    return case


def _verdict(outcome: Outcome) -> "Error | Failure | Skipped | None":
    """What kept the trial from passing: readers expect one thing at most."""
    from junitparser import Error, Failure, Skipped

    if outcome.status in FAILED:
        return Error(xml_text(f"{outcome.status}: {outcome.error or ''}".removesuffix(": ")), outcome.status)
    if outcome.status != "completed":
        return Skipped(xml_text(outcome.status))
    if outcome.score_errors:
        raised = "; ".join(f"score {name} raised {error}" for name, error in outcome.score_errors.items())
        return Error(xml_text(raised), "score")
    if no := [name for name, value in outcome.scores.items() if value is False]:
        return Failure(xml_text(f"no by {', '.join(no)}"), "score")
    return None


def _unfinished(result: BatchResult, trial: Trial) -> "TestCase":
    from junitparser import Skipped

    case = _named(result, trial, 0)
    case.append(Skipped("not finished"))
    return case


def _named(result: BatchResult, trial: Trial, seconds: float) -> "TestCase":
    from junitparser.xunit2 import TestCase

    name = trial.case if result.settings.repeats == 1 else f"{trial.case} #{trial.repeat}"
    return TestCase(xml_text(name), xml_text(f"{result.workflow}.{result.names[trial.combination]}"), seconds)


def xml_text(text: str) -> str:
    """Text with a mark in place of each character that XML 1.0 can't hold."""
    return "".join(c if _stands(ord(c)) else "\ufffd" for c in text)


def _stands(code: int) -> bool:
    """`Char` of https://www.w3.org/TR/xml/#charsets."""
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
