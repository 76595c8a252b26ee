"""`wtb pause`, `cancel`, `break`, breakpoints of `run`, and `recover --take-over`, across processes."""

import json
import signal
from pathlib import Path

import pytest

from tests.interfaces.cli.support import Folder
from wtb.domain.execution import PauseRequested

HI = ("-i", '{"query": "hi"}', "--execution-id", "x")


def test_run_stops_at_breakpoints_and_resume_goes_on(folder: Folder) -> None:
    stopped = folder.wtb("run", "agent:held", *HI, "--break-before", "first", "--break-before", "hold", "--json")
    assert (stopped.code, stopped.json["status"], stopped.json["pause_reason"]) == (0, "paused", "breakpoint")
    assert [stop["node"] for stop in stopped.json["stops"]] == ["first"]
    again = folder.wtb("resume", "x", "--graph", "agent:held")
    assert "stopped before  hold" in again.out
    assert "wtb resume x" in again.out or "resume x" in again.out
    assert folder.wtb("break", "x", "--json").json["changed"]
    done = folder.wtb("resume", "x", "--graph", "agent:held", "--json")
    assert (done.json["status"], done.json["pause_reason"], done.json["stops"]) == ("completed", None, [])
    assert folder.ran() == ["first", "hold"]


def test_a_run_stops_after_a_node(folder: Folder) -> None:
    stopped = folder.wtb("run", "agent:held", *HI, "--break-after", "first", "--json").json
    assert (stopped["status"], stopped["stops"], folder.ran()) == ("paused", [], ["first"])


def test_a_node_that_the_graph_lacks_ends_with_3(folder: Folder) -> None:
    assert folder.wtb("run", "agent:held", *HI, "--break-before", "third").code == 3
    folder.wtb("run", "agent:held", *HI, "--break-before", "first")
    assert folder.wtb("break", "x", "--before", "third", "--graph", "agent:held").code == 3
    Path("langgraph.json").write_text('{"graphs": {"agent:held": "./agent.py:held"}}')
    assert folder.wtb("break", "x", "--before", "third").code == 3
    assert folder.wtb("break", "x", "--before", "hold", "--after", "first").code == 0


@pytest.mark.parametrize("words", [(), ("--reason", "lunch")])
def test_another_process_is_paused(folder: Folder, words: tuple[str, ...]) -> None:
    Path("hold").touch()
    with folder.bench() as bench, folder.start("run", "agent:chatty", *HI, "--json") as process:
        folder.wait_for_start("hold", bench)
        asked = folder.wtb("pause", "x", *words)
        assert (asked.code, asked.out) == (0, "execution x pauses before its next node\n")
        assert "so it was already" in folder.wtb("pause", "x").out
        Path("hold").unlink()
        out, _ = process.communicate()
        assert (process.returncode, json.loads(out)["pause_reason"]) == (0, "request")
        assert folder.wtb("pause", "x").out == "execution x is paused; so it was already\n"
        [fact] = [event.fact for event in bench.events("x") if isinstance(event.fact, PauseRequested)]
    assert fact.reason == ("lunch" if words else "")
    assert folder.ran() == ["first", "hold"]


def test_another_process_is_cancelled_and_ends_with_130(folder: Folder) -> None:
    Path("hold").touch()
    with folder.bench() as bench, folder.start("run", "agent:chatty", *HI, "--json") as process:
        folder.wait_for_start("hold", bench)
        assert folder.wtb("cancel", "x").out == "execution x is cancelled before its next node\n"
        Path("hold").unlink()
        out, _ = process.communicate()
    assert (process.returncode, json.loads(out)["status"]) == (130, "cancelled")
    again = folder.wtb("cancel", "x", "--json").json
    assert again == {"execution_id": "x", "status": "cancelled", "version": again["version"], "changed": False}


def test_with_a_version_that_is_past_a_command_ends_with_4(folder: Folder) -> None:
    folder.wtb("run", "agent:asking", *HI)
    seen = folder.wtb("show", "x", "--json").json["version"]
    assert folder.wtb("cancel", "x", "--if-version", str(seen - 1)).code == 4
    assert folder.wtb("cancel", "x", "--if-version", str(seen)).code == 0
    assert folder.wtb("pause", "x").code == 4
    assert folder.wtb("pause", "nobody").code == 3


def test_a_frozen_process_is_taken_over_and_refused_when_it_comes_back(folder: Folder) -> None:
    Path("hold").touch()
    with folder.bench() as bench, folder.start("run", "agent:held", *HI) as process:
        folder.wait_for_start("hold", bench)
        process.send_signal(signal.SIGSTOP)
        Path("hold").unlink()
        assert folder.wtb("recover", "x", "--graph", "agent:held").code == 4
        assert folder.wtb("recover", "--take-over").code == 2
        assert folder.wtb("recover", "x", "--graph", "agent:held", "--take-over").code == 0
        before = bench.events("x")
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate()
        assert (process.returncode, bench.events("x")) == (4, before)
    assert "is being run by worker" in error
