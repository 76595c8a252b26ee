"""`wtb audit export` and `wtb audit import`, as they are typed."""

from pathlib import Path

from tests.interfaces.cli.support import Folder
from tests.interfaces.cli.test_commands import EXECUTION_KEYS, document, run
from wtb.interfaces.cli.refusals import EXIT_CODES


def test_an_execution_goes_from_one_store_to_another(folder: Folder) -> None:
    run(folder, "agent:asking", "one")
    assert document(folder.wtb("audit", "export", "one", "--json")) == {"execution_id": "one", "file": "one.wtb.zip"}
    shown = folder.wtb("audit", "import", "one.wtb.zip", "--db", "other.db")
    assert (shown.code, "Execution one is here, paused." in shown.out) == (0, True)
    again = document(folder.wtb("audit", "import", "one.wtb.zip", "--db", "other.db", "--json"))
    assert again.keys() == EXECUTION_KEYS
    done = document(
        folder.wtb("resume", "one", "--answer", "fine", "--graph", "agent:asking", "--db", "other.db", "--json")
    )
    assert done["state"]["answer"] == "fine"


def test_the_file_can_be_named(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    assert "Execution one is in kept.zip." in folder.wtb("audit", "export", "one", "--output", "kept.zip").out
    Path("there").mkdir()
    assert document(folder.wtb("audit", "export", "one", "-o", "there", "--json"))["file"] == "there/one.wtb.zip"
    assert Path("kept.zip").read_bytes() == Path("there/one.wtb.zip").read_bytes()


def test_a_file_that_is_no_bundle_or_too_big_ends_with_the_code_of_bad_input(folder: Folder) -> None:
    Path("broken.zip").write_bytes(b"broken")
    outcome = folder.wtb("audit", "import", "broken.zip")
    assert outcome.code == EXIT_CODES["invalid-bundle"] == 2
    assert outcome.err.startswith("error: broken.zip can't be read as a bundle")
    run(folder, "agent:plain", "one")
    folder.wtb("audit", "export", "one")
    assert "--most-bytes" in folder.wtb("audit", "import", "one.wtb.zip", "--most-bytes", "10", "--db", "o.db").err
