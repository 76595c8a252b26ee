"""An output folder is kept by digest and put back exactly, and nothing outside it is ever touched."""

import json
import os
import shutil
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtb.domain.errors import NotAStore, StoreUnavailable, ValueMissing
from wtb.domain.event_log import Value
from wtb.domain.identifiers import NULL_DIGEST, Digest
from wtb.infra.event_store.values import digest_of, packed, parts, unpacked
from wtb.infra.output_folder import manifest as manifests
from wtb.infra.output_folder import scanning
from wtb.infra.output_folder.manifest import FILES, PIECE, STAGE, File, Unreadable
from wtb.infra.output_folder.restoring import content, load_manifest, restore
from wtb.infra.output_folder.scanning import PIECE_BYTES, OutputFolder


class Kept:
    """Values by digest, and how many bytes were handed in."""

    def __init__(self) -> None:
        self.values: dict[Digest, Value] = {}
        self.taken: list[tuple[str, int]] = []

    def keep(self, kind: str, data: bytes) -> Digest:
        self.taken.append((kind, len(data)))
        digest = digest_of(kind, data)
        self.values[digest] = packed(kind, data)
        return digest

    def fetch(self, digests: Collection[Digest]) -> Mapping[Digest, Value]:
        if gone := [digest for digest in digests if digest not in self.values]:
            raise ValueMissing(f"value {gone[0]} isn't stored")
        return {digest: self.values[digest] for digest in digests}

    def manifest(self, shown: dict[str, object]) -> Digest:
        """The digest of a manifest that somebody else has made."""
        return self.keep(FILES, json.dumps(shown).encode())


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "execution"
    folder.mkdir(parents=True)
    return folder


def settled(folder: Path) -> None:
    """Wait until the clock has moved so far that every later change shows in a file's times."""
    newest = max(os.lstat(path).st_ctime_ns for path in [folder, *folder.rglob("*")])
    while time.time_ns() <= newest + scanning.SETTLED_NS:
        os.sched_yield()


def shape(folder: Path) -> dict[str, object]:
    """All there is in a folder, as a person would compare it."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = mode
        else:
            found[name] = (mode, path.read_bytes())
    return found


def filled(folder: Path) -> Path:
    (folder / "report.md").write_text("# Report")
    (folder / "empty").touch()
    (folder / "run.sh").write_text("true")
    (folder / "run.sh").chmod(0o750)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "data.bin").write_bytes(os.urandom(10))
    (folder / "nothing in it").mkdir(mode=0o700)
    (folder / "latest").symlink_to("deep/er")
    (folder / "deep" / "up").symlink_to("../report.md")
    return folder


# --- keeping ------------------------------------------------------------------------------------------


def test_an_empty_or_missing_folder_has_no_manifest(folder: Path, kept: Kept) -> None:
    assert OutputFolder(folder).scan(kept.keep) == NULL_DIGEST
    assert OutputFolder(folder / "missing").scan(kept.keep) == NULL_DIGEST
    assert kept.taken == []


def test_what_is_kept_says_everything_of_each_file(folder: Path, kept: Kept) -> None:
    digest = OutputFolder(filled(folder)).scan(kept.keep)
    manifest = load_manifest(digest, kept.fetch)
    assert set(manifest) == set(shape(folder))
    script = manifest["run.sh"]
    assert isinstance(script, File)
    assert (script.mode, script.size, content(script, kept.fetch)) == (0o750, 4, b"true")


def test_the_same_files_have_the_same_digest_wherever_they_are(folder: Path, tmp_path: Path, kept: Kept) -> None:
    shutil.copytree(filled(folder), tmp_path / "copy", symlinks=True)
    assert OutputFolder(folder).scan(kept.keep) == OutputFolder(tmp_path / "copy").scan(kept.keep)


def test_a_big_file_is_kept_in_pieces_and_each_piece_once(folder: Path, kept: Kept) -> None:
    data = os.urandom(PIECE_BYTES)
    (folder / "big").write_bytes(data * 2 + b"end")
    manifest = load_manifest(OutputFolder(folder).scan(kept.keep), kept.fetch)
    big = manifest["big"]
    assert isinstance(big, File)
    assert (len(big.pieces), len(set(big.pieces))) == (3, 2)
    assert content(big, kept.fetch) == data * 2 + b"end"


def test_what_has_not_changed_is_not_read_again(folder: Path, kept: Kept) -> None:
    output = OutputFolder(filled(folder))
    settled(folder)
    before = output.scan(kept.keep)
    kept.taken.clear()
    assert output.scan(kept.keep) == before
    assert kept.taken == []
    (folder / "report.md").write_text("# Changed")
    assert output.scan(kept.keep) != before
    assert [taken for taken in kept.taken if taken[0] == PIECE] == [(PIECE, 9)]


def test_a_change_within_one_tick_of_the_clock_is_seen(folder: Path, kept: Kept) -> None:
    """Same size, same inode, and times that may be the same: what was touched a moment ago is read again."""
    output = OutputFolder(folder)
    for number in range(200):
        with (folder / "counter").open("r+b" if number else "wb") as file:
            file.write(b"%03d" % number)
        counter = load_manifest(output.scan(kept.keep), kept.fetch)["counter"]
        assert isinstance(counter, File)
        assert content(counter, kept.fetch) == b"%03d" % number


def test_a_change_that_puts_the_old_time_back_is_seen(folder: Path, kept: Kept) -> None:
    (folder / "a").write_text("one")
    settled(folder)
    output = OutputFolder(folder)
    before = output.scan(kept.keep)
    times = os.stat(folder / "a")
    (folder / "a").write_text("two")
    os.utime(folder / "a", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert output.scan(kept.keep) != before


def test_an_empty_folder_is_looked_into_again_when_something_has_come(folder: Path, kept: Kept) -> None:
    output = OutputFolder(folder)
    settled(folder)
    assert output.scan(kept.keep) == NULL_DIGEST
    (folder / "a").touch()
    filled_once = output.scan(kept.keep)
    assert filled_once != NULL_DIGEST
    (folder / "a").unlink()
    assert output.scan(kept.keep) == NULL_DIGEST
    (folder / "a").touch()
    assert output.scan(kept.keep) == filled_once


def test_files_that_change_come_and_go_while_they_are_read_do_no_harm(folder: Path, kept: Kept) -> None:
    """What is kept is something that was there, and the manifest is true of what is kept."""
    done = threading.Event()

    def meddle() -> None:
        number = 0
        while not done.is_set():
            number += 1
            (folder / "sub").mkdir(exist_ok=True)
            (folder / "sub" / "file").write_bytes(b"x" * (number % 7) * 100_000)
            if number % 3 == 0:
                shutil.rmtree(folder / "sub")

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        output = OutputFolder(folder)
        for _ in range(100):
            manifest = load_manifest(output.scan(kept.keep), kept.fetch)
            for entry in manifest.values():
                assert not isinstance(entry, File) or len(content(entry, kept.fetch)) == entry.size
    finally:
        done.set()
        meddler.join()


def test_a_pipe_a_socket_and_a_broken_link_are_noted_and_never_opened(folder: Path, kept: Kept) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "broken").symlink_to("nowhere")
    manifest = load_manifest(OutputFolder(folder).scan(kept.keep), kept.fetch)
    assert isinstance(manifest["pipe"], Unreadable)
    assert manifest["broken"] == manifests.Link("nowhere")


def test_a_folder_that_cannot_be_listed_is_noted_and_left_as_it_is(folder: Path, kept: Kept) -> None:
    """Its path is too long; who runs the tests may be allowed to read everything."""
    (folder / "a").write_text("1")
    at = os.open(folder, os.O_RDONLY)
    for number in range(20):
        os.mkdir(f"{number:0250}", dir_fd=at)
        inner = os.open(f"{number:0250}", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    digest = OutputFolder(folder).scan(kept.keep)
    manifest = load_manifest(digest, kept.fetch)
    [deepest] = [path for path, entry in manifest.items() if isinstance(entry, Unreadable)]
    assert deepest == max(manifest, key=len)
    (folder / "a").write_text("2")
    assert restore(digest, folder, kept.fetch).written == ("a",)
    assert OutputFolder(folder).scan(kept.keep) == digest


def test_a_link_is_not_followed_however_it_leads(folder: Path, tmp_path: Path, kept: Kept) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "file").symlink_to(tmp_path / "secret")
    (folder / "tree").symlink_to(tmp_path)
    (folder / "itself").symlink_to(".")
    assert set(load_manifest(OutputFolder(folder).scan(kept.keep), kept.fetch)) == {"file", "tree", "itself"}
    assert {kind for kind, _ in kept.taken} == {FILES}


def test_a_folder_that_is_itself_a_link_is_not_looked_into(folder: Path, tmp_path: Path, kept: Kept) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "secret").touch()
    folder.rmdir()
    folder.symlink_to(tmp_path / "else")
    assert OutputFolder(folder).scan(kept.keep) == NULL_DIGEST


def test_a_manifest_tells_what_it_is_put_together_from(folder: Path, kept: Kept) -> None:
    digest = OutputFolder(filled(folder)).scan(kept.keep)
    assert digest is not None
    pieces = parts(*unpacked(kept.values[digest]))
    assert {*pieces, digest} == set(kept.values)


# --- putting back -------------------------------------------------------------------------------------


def test_a_folder_is_put_back_exactly(folder: Path, kept: Kept) -> None:
    before = shape(filled(folder))
    digest = OutputFolder(folder).scan(kept.keep)
    (folder / "report.md").write_text("# Changed")
    (folder / "run.sh").chmod(0o600)
    (folder / "empty").unlink()
    (folder / "new").write_text("new")
    (folder / "more" / "new").mkdir(parents=True)
    shutil.rmtree(folder / "deep")
    (folder / "deep").write_text("a file now")
    (folder / "latest").unlink()
    (folder / "latest").mkdir()
    (folder / "latest" / "in it").touch()
    restored = restore(digest, folder, kept.fetch)
    assert shape(folder) == before
    assert set(restored.deleted) >= {"new", "more", "more/new"}
    assert {"report.md", "run.sh", "empty"} <= set(restored.written)
    assert restore(digest, folder, kept.fetch).written == ()


def test_a_folder_is_made_where_there_is_none(folder: Path, tmp_path: Path, kept: Kept) -> None:
    digest = OutputFolder(filled(folder)).scan(kept.keep)
    restore(digest, tmp_path / "far" / "away", kept.fetch)
    assert shape(tmp_path / "far" / "away") == shape(folder)


def test_no_files_empties_the_folder_and_nothing_kept_leaves_it_alone(folder: Path, kept: Kept) -> None:
    before = shape(filled(folder))
    restore(None, folder, kept.fetch)
    assert shape(folder) == before
    restore(NULL_DIGEST, folder, kept.fetch)
    assert shape(folder) == {}


def test_what_is_as_it_should_be_is_left_as_it_is(folder: Path, kept: Kept) -> None:
    digest = OutputFolder(filled(folder)).scan(kept.keep)
    inode = os.stat(folder / "report.md").st_ino
    (folder / "run.sh").write_text("false")
    assert restore(digest, folder, kept.fetch).written == ("run.sh",)
    assert os.stat(folder / "report.md").st_ino == inode


def test_a_missing_piece_is_told_before_anything_is_changed(folder: Path, kept: Kept) -> None:
    digest = OutputFolder(filled(folder)).scan(kept.keep)
    script = load_manifest(digest, kept.fetch)["run.sh"]
    assert isinstance(script, File)
    del kept.values[script.pieces[0]]
    (folder / "run.sh").write_text("false")
    (folder / "new").touch()
    before = shape(folder)
    with pytest.raises(ValueMissing):
        restore(digest, folder, kept.fetch)
    assert shape(folder) == before


def test_a_piece_that_was_tampered_with_is_refused(folder: Path, kept: Kept) -> None:
    (folder / "a").write_text("right")
    digest = OutputFolder(folder).scan(kept.keep)
    piece = digest_of(PIECE, b"right")
    kept.values[piece] = Value(PIECE, b"wrong")
    (folder / "a").unlink()
    with pytest.raises(NotAStore, match="damaged"):
        restore(digest, folder, kept.fetch)


def test_what_a_broken_off_restoring_left_behind_is_taken_away(folder: Path, kept: Kept) -> None:
    before = shape(filled(folder))
    output = OutputFolder(folder)
    (folder / f"{STAGE}abc").mkdir()
    (folder / f"{STAGE}abc" / "0").touch()
    digest = output.scan(kept.keep)
    restore(digest, folder, kept.fetch)
    assert shape(folder) == before


def test_what_could_not_be_read_is_left_as_it_is(folder: Path, kept: Kept) -> None:
    os.mkfifo(folder / "pipe")
    digest = OutputFolder(folder).scan(kept.keep)
    restore(digest, folder, kept.fetch)
    assert (folder / "pipe").is_fifo()
    (folder / "pipe").unlink()
    assert restore(digest, folder, kept.fetch).left_out == ("pipe",)


def test_a_folder_that_cannot_be_made_is_a_refusal(tmp_path: Path, kept: Kept) -> None:
    (tmp_path / "file").touch()
    digest = kept.manifest({"a": {"mode": 0o600, "size": 0, "pieces": []}})
    with pytest.raises(StoreUnavailable, match="put back"):
        restore(digest, tmp_path / "file" / "folder", kept.fetch)


# --- manifests from elsewhere -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../evil", "a/../../evil", "a/..", ".", "", "a//b", "a/./b", "a\0b", f"{STAGE}x/0", "\ud800"],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(folder: Path, kept: Kept, path: str) -> None:
    digest = kept.manifest({path: {"mode": 0o644, "size": 0, "pieces": []}})
    with pytest.raises(NotAStore):
        restore(digest, folder, kept.fetch)
    assert [*folder.parent.iterdir()] == [folder]


@pytest.mark.parametrize("target", ["/etc", "..", "../..", "a/../..", "inner/../../x", "\0", ""])
def test_a_link_that_leads_out_of_the_folder_is_not_made(folder: Path, kept: Kept, target: str) -> None:
    digest = kept.manifest({"link": {"link": target}})
    (folder / "link").write_text("something else")
    assert restore(digest, folder, kept.fetch).left_out == ("link",)
    assert shape(folder) == {}


def test_a_link_that_leads_out_and_is_there_already_stays(folder: Path, kept: Kept) -> None:
    (folder / "link").symlink_to("/usr")
    digest = OutputFolder(folder).scan(kept.keep)
    assert restore(digest, folder, kept.fetch).left_out == ()
    assert os.readlink(folder / "link") == "/usr"


def test_nothing_is_written_or_deleted_through_a_link(folder: Path, tmp_path: Path, kept: Kept) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "precious").write_text("precious")
    (folder / "sub").symlink_to(tmp_path / "else")
    (folder / "file").symlink_to(tmp_path / "else" / "precious")
    piece = kept.keep(PIECE, b"evil")
    digest = kept.manifest(
        {
            "sub/precious": {"mode": 0o644, "size": 4, "pieces": [piece]},
            "file": {"mode": 0o644, "size": 4, "pieces": [piece]},
        }
    )
    restore(digest, folder, kept.fetch)
    assert (tmp_path / "else" / "precious").read_text() == "precious"
    assert (folder / "sub" / "precious").read_text() == "evil"
    restore(NULL_DIGEST, folder, kept.fetch)
    assert (tmp_path / "else" / "precious").read_text() == "precious"


def test_a_folder_that_is_itself_a_link_is_replaced_and_not_written_through(
    folder: Path, tmp_path: Path, kept: Kept
) -> None:
    digest = OutputFolder(filled(folder)).scan(kept.keep)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "precious").touch()
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path / "else")
    restore(digest, folder, kept.fetch)
    assert [path.name for path in (tmp_path / "else").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    "shown",
    [
        {"link": {"link": "sub"}, "link/file": {"mode": 0o644, "size": 0, "pieces": []}},
        {"file": {"mode": 0o644, "size": 0, "pieces": []}, "file/in it": {"folder": 0o755}},
        {"a": {"mode": "rw", "size": 0, "pieces": []}},
        {"a": {"mode": 0o644, "size": 0, "pieces": "abc"}},
        {"a": {"mode": 0o644, "size": 0, "pieces": [1]}},
        {"a": {"folder": True}},
        {"a": {}},
        {"a": 1},
        [],
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(folder: Path, kept: Kept, shown: dict[str, object]) -> None:
    with pytest.raises(NotAStore):
        restore(kept.manifest(shown), folder, kept.fetch)


def test_no_set_user_id_bit_comes_out_of_a_store(folder: Path, kept: Kept) -> None:
    restore(kept.manifest({"a": {"mode": 0o4755, "size": 0, "pieces": []}}), folder, kept.fetch)
    assert stat.S_IMODE(os.stat(folder / "a").st_mode) == 0o755


# --- any folder ---------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c.txt", "\u00e9", "caf\udce9"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
makes: st.SearchStrategy[Callable[[Path], None]] = st.one_of(
    st.binary(max_size=5).map(lambda data: lambda path: path.write_bytes(data) and None),
    st.sampled_from(["a", "../b", "nowhere"]).map(lambda target: lambda path: path.symlink_to(target)),
    st.sampled_from([0o755, 0o700]).map(lambda mode: lambda path: path.mkdir(mode)),
)
trees = st.dictionaries(paths, makes, max_size=6)


def plant(folder: Path, tree: dict[str, Callable[[Path], None]]) -> None:
    for path, make in tree.items():
        where = folder / path
        if not where.parent.is_dir() or where.parent.is_symlink() or os.path.lexists(where):
            continue
        make(where)


def emptied(tmp_path: Path) -> Iterator[Path]:
    while True:
        shutil.rmtree(tmp_path / "any", ignore_errors=True)
        (tmp_path / "any").mkdir()
        yield tmp_path / "any"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_folder_comes_back_from_any_other(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = next(emptied(tmp_path_factory.getbasetemp()))
    kept = Kept()
    plant(folder, data.draw(trees))
    before = shape(folder)
    digest = OutputFolder(folder).scan(kept.keep)
    plant(next(emptied(folder.parent)), data.draw(trees))
    left_out = restore(digest, folder, kept.fetch).left_out
    assert shape(folder) == {path: what for path, what in before.items() if path not in left_out}
