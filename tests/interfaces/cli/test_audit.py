"""``wtb audit``: seal, verify and report, for people and as JSON."""

import sqlite3
from pathlib import Path

from tests.interfaces.cli.support import Folder

SUMMARY = {"events", "through", "streams", "values", "seals", "sealed", "seal", "findings", "whole", "first"}
FINDING = {"kind", "position", "stream", "version", "type", "detail"}


def run(folder: Folder) -> None:
    assert folder.wtb("run", "agent:plain", "-i", '{"query": "hi"}', "--execution-id", "one").code == 0


def tamper(statement: str) -> None:
    with sqlite3.connect("data/wtb.db") as database:
        database.execute(statement)
    database.close()


def test_a_whole_log_ends_with_0(folder: Folder) -> None:
    run(folder)
    outcome = folder.wtb("audit", "verify")
    assert outcome.code == 0
    assert "The log is whole." in outcome.out
    told = folder.wtb("audit", "verify", "--json").json
    assert told.keys() == SUMMARY
    assert (told["whole"], told["first"], told["findings"]) == (True, None, [])
    assert told["events"] == told["through"] > 0


def test_a_tampered_log_ends_with_8_and_the_first_event_is_named(folder: Folder) -> None:
    run(folder)
    tamper("UPDATE wtb_events SET topic='NodeFailed@1' WHERE position=4")
    outcome = folder.wtb("audit", "verify")
    assert outcome.code == 8
    assert "The log is not whole." in outcome.out
    assert "First: changed: position 4, stream execution-one, version 2, NodeFailed" in outcome.out
    outcome = folder.wtb("audit", "verify", "--json")
    assert outcome.code == 8
    told = outcome.json
    assert told["whole"] is False
    assert told["first"] == told["findings"][0]
    assert told["first"].keys() == FINDING
    assert (told["first"]["kind"], told["first"]["position"]) == ("changed", 4)


def test_a_seal_is_made_and_asked_for(folder: Folder) -> None:
    run(folder)
    made = folder.wtb("audit", "seal", "--json").json
    assert made.keys() == {"through", "events", "digest", "previous"}
    assert made["digest"] in folder.wtb("audit", "seal").out  # nothing has come since: it stands
    assert folder.wtb("audit", "verify", "--seal", made["digest"]).code == 0
    outcome = folder.wtb("audit", "verify", "--seal", "0" * 64)
    assert outcome.code == 8
    assert "no seal has the digest" in outcome.out


def test_what_cannot_be_a_seal_ends_with_2(folder: Folder) -> None:
    outcome = folder.wtb("audit", "verify", "--seal", "abc")
    assert outcome.code == 2
    assert "hint: " in outcome.err


def test_a_report_goes_to_stdout_or_to_a_file(folder: Folder) -> None:
    run(folder)
    page = folder.wtb("audit", "report", "one")
    assert page.code == 0
    assert page.out.startswith("<!DOCTYPE html>")
    assert folder.wtb("audit", "report", "one", "--output", "page.html").out == "Written to page.html\n"
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    told = folder.wtb("audit", "report", "one", "-o", "page.html", "--json").json
    assert told == {"execution_id": "one", "path": "page.html"}
    assert folder.wtb("audit", "report", "one", "--json").json["html"].startswith("<!DOCTYPE html>")


def test_a_report_that_cannot_be_made_is_refused(folder: Folder) -> None:
    assert folder.wtb("audit", "report", "nobody").code == 3
    run(folder)
    outcome = folder.wtb("audit", "report", "one", "--output", "no/such/folder.html")
    assert outcome.code == 2
    assert "can't be written" in outcome.err
