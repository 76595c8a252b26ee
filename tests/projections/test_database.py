"""What the read models' database raises is WTB's own, and what is asked wrongly is told so."""

from pathlib import Path

import pytest
from sqlalchemy import text

from tests.projections.given import ReadModels, rows_of, started
from wtb.domain.errors import InvalidRequest, NotAStore, StoreUnavailable
from wtb.projections import checkpoints, executions, steps
from wtb.projections.database import engine_for, writing


def test_a_file_that_is_no_database_is_not_a_store(tmp_path: Path) -> None:
    path = tmp_path / "wtb.db"
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(NotAStore, match="damaged"):
        engine_for(str(path)).connect()


@pytest.mark.parametrize("location", ["{folder}/missing/wtb.db", "postgresql://nobody@127.0.0.1:1/wtb"])
def test_a_database_that_can_not_be_reached_is_unavailable(tmp_path: Path, location: str) -> None:
    with pytest.raises(StoreUnavailable, match="can't be read or written"):
        engine_for(location.format(folder=tmp_path)).connect()


def test_an_id_that_no_database_can_hold_is_not_found_or_refused(models: ReadModels) -> None:
    """SQLite looks for a zero character and finds none; Postgres can't look for one."""
    models.given("e1", started())
    with models.now() as connection:
        for ask in (executions.get, steps.of, checkpoints.of):
            if connection.dialect.name == "sqlite":
                assert not ask(connection, "e1\0")
            else:
                with pytest.raises(InvalidRequest) as refusal:
                    ask(connection, "e1\0")
                assert "zero character" in refusal.value.hint
        assert executions.get(connection, "e1")


def test_what_is_written_in_one_transaction_is_there_as_a_whole_or_not_at_all(models: ReadModels) -> None:
    models.given("e1", started())
    models.projector.catch_up()
    before = rows_of(models.engine)

    def half_a_transaction() -> None:
        with writing(models.engine) as connection:
            connection.execute(text("DELETE FROM wtb_executions"))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half_a_transaction()
    assert rows_of(models.engine) == before
