"""`wtb audit export`, `import`, `archive` and `erase`, as they are typed."""

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


def test_old_executions_are_archived_and_brought_back(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    assert document(folder.wtb("audit", "archive", "--older-than", "1d", "--json")) == {"archived": []}
    assert "nothing to archive" in folder.wtb("audit", "archive", "--older-than", "1d").out
    archived = document(folder.wtb("audit", "archive", "--older-than", "0s", "--to", "old", "--reason", "r", "--json"))
    assert [(each["execution"], each["file"]) for each in archived["archived"]] == [("one", "old/one.wtb.zip")]
    assert archived["archived"][0].keys() == {"execution", "file", "bundle", "values"}
    gone = folder.wtb("state", "one")
    assert gone.code == EXIT_CODES["value-missing"]
    assert "was archived to bundle" in gone.err
    document(folder.wtb("audit", "import", "old/one.wtb.zip", "--json"))
    assert document(folder.wtb("state", "one", "--json"))["channels"]["query"] == "hi"
    assert "one.wtb.zip" in folder.wtb("audit", "archive", "one").out
    assert Path("archive/one.wtb.zip").exists()
    assert folder.wtb("audit", "archive", "--older-than", "soon").code == EXIT_CODES["invalid-request"]
    run(folder, "agent:asking", "two")
    assert folder.wtb("audit", "archive", "two").code == EXIT_CODES["wrong-status"]


def test_erasing_asks_before_it_erases(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    for answer in ("", "n\n", "what\n"):
        asked = folder.wtb("audit", "erase", "one", "--reason", "r", input=answer)
        assert (asked.code, "Nothing was erased" in asked.err) == (1, True)
    assert folder.wtb("state", "one").code == 0
    erased = folder.wtb("audit", "erase", "one", "--reason", "asked for", input="y\n")
    assert (erased.code, "1 executions are erased" in erased.out) == (0, True)
    gone = folder.wtb("state", "one")
    assert (gone.code, "was erased" in gone.err) == (EXIT_CODES["value-missing"], True)
    assert folder.wtb("events", "one").code == 0


def test_erasing_for_programs_never_asks(folder: Folder) -> None:
    run(folder, "agent:plain", "one")
    assert folder.wtb("audit", "erase", "one", "--reason", "r", "--json").code == EXIT_CODES["invalid-request"]
    erased = document(folder.wtb("audit", "erase", "one", "--reason", "r", "--yes", "--json"))
    assert erased.keys() == {"executions", "values", "folders", "wiped"}
    assert (erased["executions"], erased["wiped"]) == (["one"], True)
    assert folder.wtb("audit", "erase", "one").code == EXIT_CODES["usage"]
