"""A bundle that isn't as it was written is refused by its first flaw, and nothing of it is kept."""

import base64
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.bundle_files import Lines, changed, lines, members, put, with_lines, with_manifest
from tests.sdk.given import asks, chain, says
from wtb.domain.errors import InvalidBundle, UnknownEvent
from wtb.domain.identifiers import Digest
from wtb.infra.event_store import chain as links
from wtb.infra.event_store.values import digest_of
from wtb.sdk import TestBench, WorkflowProject

EVENTS, VALUES = "events.ndjson", "values.ndjson"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[TestBench]:
    with TestBench(WorkflowProject("notes", db_path=tmp_path / "b.db", output_dir=tmp_path / "o")) as bench:
        yield bench


@pytest.fixture
def file(quick_bench: TestBench, tmp_path: Path) -> Path:
    quick_bench.run(chain(one=says("x" * 2000), ask=asks("?")), {"query": "q"}, execution_id="e1")
    return quick_bench.export("e1", tmp_path / "e1.zip")


def line(place: int, **fields: Any) -> Callable[[Lines], Lines]:
    """Other fields in one line."""
    return lambda held: [{**each, **fields} if n == place else each for n, each in enumerate(held)]


def rechained(held: Lines) -> Lines:
    """Lines whose chain digests were made to fit."""
    before, made = "", []
    for version, each in enumerate(held, start=1):
        time = (datetime.fromisoformat(each["time"]) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        shared = {"by": each["actor"], "cause": each.get("cause"), "trace": each.get("traceparent")}
        header = json.dumps({"t": time, **{k: v for k, v in shared.items() if v is not None}}, separators=(",", ":"))
        body = json.dumps(each["data"], separators=(",", ":"), ensure_ascii=False)
        topic = each["dataschema"].removeprefix("urn:wtb:fact:")
        before = links.link(before, each["stream"], version, topic, f"{header}\n{body}".encode())
        made.append({**each, "version": version, "id": f"{each['stream']}/{version}", "chain": before})
    return made


def forged(file: Path, change: Callable[[Lines], Lines]) -> Path:
    """A bundle whose events were changed by somebody who knows how to make all digests fit again."""
    with_lines(file, EVENTS, lambda held: rechained(change(held)))
    held = lines(members(file)[EVENTS])
    return with_manifest(file, chain=held[-1]["chain"], events=len(held), version=len(held))


def value_line(kind: str, data: bytes) -> dict[str, str]:
    return {"digest": digest_of(kind, data), "kind": kind, "data": base64.b64encode(data).decode()}


def data_of(place: int, **fields: Any) -> Callable[[Lines], Lines]:
    """Other fields in the fact of one line."""
    return lambda held: line(place, data={**held[place]["data"], **fields})(held)


TAMPERED: dict[str, tuple[Callable[[Path], Path], str]] = {
    # events
    "an event's fact was changed": (
        lambda f: with_lines(f, EVENTS, data_of(0, workflow="other")), "event 1 isn't what its chain digest says"),
    "an event's time was changed": (
        lambda f: with_lines(f, EVENTS, line(1, time="2020-01-01T00:00:00.000000Z")), "event 2 isn't what its chain"),
    "an event's actor was changed": (
        lambda f: with_lines(f, EVENTS, line(2, actor="mallory")), "event 3 isn't what its chain"),
    "an event's cause was taken away": (
        lambda f: with_lines(f, EVENTS, lambda h: [{k: v for k, v in e.items() if k != "cause"} for e in h]),
        "event 1 isn't what its chain"),
    "an event's type was changed": (
        lambda f: with_lines(f, EVENTS, line(1, type="wtb.PauseRequested")), "event 2 contradicts itself"),
    "an event's schema was changed": (
        lambda f: with_lines(f, EVENTS, line(1, dataschema="urn:wtb:fact:CheckpointSaved@1")), "event 2 isn't what"),
    "an event's id was changed": (
        lambda f: with_lines(f, EVENTS, line(1, id="execution-e1/7")), "event 2 contradicts itself"),
    "an event's stream was changed": (
        lambda f: with_lines(f, EVENTS, line(1, stream="execution-e2")), "event 2 contradicts itself"),
    "an event's chain digest was changed": (
        lambda f: with_lines(f, EVENTS, line(1, chain="0" * 64)), "event 2 isn't what its chain"),
    "an event was removed": (
        lambda f: with_lines(f, EVENTS, lambda h: [*h[:2], *h[3:]]), "event 4 stands where event 3 belongs"),
    "the last event was removed": (
        lambda f: with_lines(f, EVENTS, lambda h: h[:-1]), "the events don't end where the manifest says"),
    "all events were removed": (
        lambda f: with_lines(f, EVENTS, lambda h: []), "the events don't end where the manifest says"),
    "an event was doubled": (
        lambda f: with_lines(f, EVENTS, lambda h: [*h[:2], *h[1:]]), "event 2 stands where event 3 belongs"),
    "events were reordered": (
        lambda f: with_lines(f, EVENTS, lambda h: [h[0], h[2], h[1], *h[3:]]), "event 3 stands where event 2 belongs"),
    "an event has a field of its own": (
        lambda f: with_lines(f, EVENTS, line(1, extra=1)), "unknown field"),
    "an event is written in another way": (
        lambda f: changed(f, EVENTS, lambda d: d.replace(b'{"specversion":', b'{ "specversion":', 1)),
        "event 1 contradicts itself"),
    "an event breaks off": (lambda f: changed(f, EVENTS, lambda d: d[:-1]), "events.ndjson breaks off"),
    "an event is no JSON": (lambda f: changed(f, EVENTS, lambda d: b"{\n" + d), "can't be read as a bundle"),
    "an event is empty": (lambda f: changed(f, EVENTS, lambda d: d + b"\n"), "can't be read as a bundle"),
    "the events are no text": (lambda f: changed(f, EVENTS, lambda d: b"\xff\xfe" * 50 + b"\n"), "can't be read"),
    "the events are nested without end": (
        lambda f: changed(f, EVENTS, lambda d: b'{"data":' + b"[" * 100_000 + b"\n"), "can't be read as a bundle"),
    # events whose digests were made to fit
    "the execution starts twice": (lambda f: forged(f, lambda h: [h[0], *h]), "an execution starts once"),
    "the execution never starts": (lambda f: forged(f, lambda h: h[1:]), "an execution starts once"),
    "another workflow than the manifest's": (
        lambda f: forged(f, data_of(0, workflow="other")), "another workflow or graph"),
    "a fact of the log itself": (
        lambda f: forged(f, lambda h: [*h, {**h[0], "type": "wtb.LogSealed", "dataschema": "urn:wtb:fact:LogSealed@1",
                                        "data": {"through": 1, "events": 1, "digest": "", "previous": ""}}]),
        "is no execution's: LogSealed"),
    "a field that the fact doesn't have": (lambda f: forged(f, data_of(0, extra=1)), "can't be read"),
    "text that no database takes": (
        lambda f: forged(f, data_of(1, namespace="a\0b")), "holds text that can't be stored"),
    "a number that no database takes": (lambda f: forged(f, data_of(1, step=10**30)), "can't be shown"),
    "an attempt beyond counting": (
        lambda f: forged(f, lambda h: [
            {**e, "data": {**e["data"], "attempt": 2**40}} if e["type"] == "wtb.NodeStarted" else e for e in h]),
        "attempts"),
    "a value that isn't in the bundle": (
        lambda f: forged(f, data_of(0, input=Digest("A" * 43))), "value AAAAAAA"),
    # values
    "a value's bytes were changed": (
        lambda f: with_lines(f, VALUES, line(0, data="AAAA")), "isn't what its digest says"),
    "a value's kind was changed": (
        lambda f: with_lines(f, VALUES, line(0, kind="text")), "isn't what its digest says"),
    "a value was removed": (lambda f: with_lines(f, VALUES, lambda h: h[1:]), "is missing"),
    "a value was doubled": (lambda f: with_lines(f, VALUES, lambda h: [*h, h[0]]), "comes twice"),
    "a value was added": (
        lambda f: with_lines(f, VALUES, lambda h: [*h, value_line("text", b"new")]), "is named by no event"),
    "a pickle was added": (
        lambda f: with_lines(f, VALUES, lambda h: [value_line("pickle", b"cos\nsystem\n"), *h]), "of a kind that no"),
    "a compressed value was added": (
        lambda f: with_lines(f, VALUES, lambda h: [value_line("msgpack+zstd", b"x"), *h]), "of a kind that no"),
    "a list of half a digest was added": (
        lambda f: with_lines(f, VALUES, lambda h: [value_line("list", b"x" * 33), *h]), "is damaged"),
    "files that aren't told as files were added": (
        lambda f: with_lines(f, VALUES, lambda h: [value_line("files", b"[1]"), *h]), "is damaged"),
    "a value that isn't base64": (lambda f: with_lines(f, VALUES, line(0, data="?")), "can't be read as a bundle"),
    # the manifest
    "events that the manifest doesn't vouch for": (
        lambda f: with_manifest(f, members={**json.loads(members(f)["manifest.json"])["members"],
                                  EVENTS: {"sha256": "0" * 64, "bytes": len(members(f)[EVENTS])}}),
        "events.ndjson isn't what its digest in the manifest says"),
    "values that the manifest doesn't vouch for": (
        lambda f: with_lines(f, VALUES, lambda h: [h[1], h[0], *h[2:]], vouched=False),
        "values.ndjson isn't what its digest in the manifest says"),
    "another head": (lambda f: with_manifest(f, chain="0" * 64), "don't end where the manifest says"),
    "another number of events": (lambda f: with_manifest(f, events=1), "don't end where the manifest says"),
    "another number of values": (lambda f: with_manifest(f, values=1), "another number of values"),
    "another execution": (lambda f: with_manifest(f, execution="e2"), "event 1 isn't what its chain"),
    "an execution that isn't a folder's name": (
        lambda f: with_manifest(f, execution="../../etc/passwd"), "can't be an execution's id"),
    "another workflow": (lambda f: with_manifest(f, workflow="w"), "another workflow or graph"),
    "a later format": (lambda f: with_manifest(f, format_version=2), "format version 2"),
    "another format": (lambda f: with_manifest(f, format="zip"), "can't be read as a bundle"),
    "a manifest with more in it": (lambda f: with_manifest(f, more=1), "unknown field"),
    "a manifest that vouches for nothing": (lambda f: with_manifest(f, members={}), "doesn't vouch"),
    "a manifest without end": (
        lambda f: changed(f, "manifest.json", lambda d: d + b" " * 200_000), "longer than 100000 bytes"),
    # the archive
    "a member more": (lambda f: put(f, {**members(f), "../evil": b"x"}), "and nothing else"),
    "a member less": (
        lambda f: put(f, {n: d for n, d in members(f).items() if n != VALUES}), "and nothing else"),
    "no archive": (lambda f: _written(f, b"hello"), "can't be read as a bundle"),
    "an empty file": (lambda f: _written(f, b""), "can't be read as a bundle"),
    "half an archive": (lambda f: _written(f, f.read_bytes()[: f.stat().st_size // 2]), "can't be read as a bundle"),
    "a flipped bit": (lambda f: _written(f, _flipped(f.read_bytes())), "can't be read as a bundle"),
    "another compression": (lambda f: _compressed(f, zipfile.ZIP_BZIP2), "compressed in another way"),
    "no file": (lambda f: f.with_name("nothing.zip"), "No such file"),
    "a folder": (lambda f: f.parent, "Is a directory"),
}  # fmt: skip


def _written(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    return file


def _flipped(data: bytes) -> bytes:
    place = data.index(EVENTS.encode()) + 200
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


def _compressed(file: Path, how: int) -> Path:
    held = members(file)
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    return file


@pytest.mark.parametrize("flaw", TAMPERED)
def test_a_tampered_bundle_is_refused_and_nothing_of_it_is_kept(there: TestBench, file: Path, flaw: str) -> None:
    tamper, message = TAMPERED[flaw]
    with pytest.raises(InvalidBundle) as refusal:
        there.import_bundle(tamper(file))
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert there.log() == []


def test_the_very_same_bundle_unchanged_is_taken(there: TestBench, file: Path) -> None:
    """Or the refusals above would prove nothing."""
    put(file, members(file))
    with_lines(file, EVENTS, lambda held: held)
    forged(file, lambda held: held)
    assert there.import_bundle(file).id == "e1"


def test_events_of_a_later_wtb_are_refused_as_such(there: TestBench, file: Path) -> None:
    forged(file, line(1, dataschema="urn:wtb:fact:CheckpointSaved@99"))
    with pytest.raises(UnknownEvent, match="CheckpointSaved@99"):
        there.import_bundle(file)


def test_a_small_file_that_unfolds_to_a_giant_is_refused_before_it_unfolds(there: TestBench, file: Path) -> None:
    changed(file, VALUES, lambda data: data + b"0" * 50_000_000)
    assert file.stat().st_size < 100_000
    with pytest.raises(InvalidBundle, match="and 1000000 is the most that is taken") as refusal:
        there.import_bundle(file, most_bytes=1_000_000)
    assert "most_bytes" in refusal.value.hint


def test_a_member_that_is_bigger_than_it_says_is_refused(there: TestBench, file: Path) -> None:
    """No more is unfolded than the archive's directory says."""
    data = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        size = archive.getinfo(VALUES).file_size
    directory = data.rindex(b"PK\x01\x02", 0, data.rindex(VALUES.encode()))
    lied = (size - 100).to_bytes(4, "little")
    file.write_bytes(data[: directory + 24] + lied + data[directory + 28 :])
    with pytest.raises(InvalidBundle):
        there.import_bundle(file)
    assert there.log() == []


def test_the_name_of_a_bundle_is_its_manifests_digest(there: TestBench, file: Path) -> None:
    there.import_bundle(file)
    (imported,) = there.log(types=("ExecutionImported",))
    assert imported.fact.bundle == sha256(members(file)["manifest.json"]).hexdigest()  # type: ignore[union-attr]
