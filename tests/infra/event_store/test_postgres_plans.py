"""Postgres finds events by their key, also before it has counted its tables and after it has settled on a plan."""

from typing import Any

import psycopg
import pytest

from tests.infra.event_store.given import ONE, TWO, grow
from wtb.infra.event_store.index import LIFECYCLE_SCOPE
from wtb.infra.event_store.store import open_store


@pytest.mark.postgres
def test_indexed_events_are_read_by_primary_key(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A join in another collation than the column's own would read through all the events for each that is found."""
    store = open_store(postgres_url)
    asked: list[str] = []
    recorder: Any = store._recorder
    select = recorder._select

    def watched(statement: str, params: Any = ()) -> Any:
        asked.append(statement)
        return select(statement, params)

    monkeypatch.setattr(recorder, "_select", watched)
    grow(store, ONE, "one")
    grow(store, TWO, "two")
    store.find(ONE, LIFECYCLE_SCOPE, namespace="", key="")
    store.close()
    [statement] = [statement for statement in asked if "wtb_index" in statement]
    numbered = statement
    for number in range(1, statement.count("%s") + 1):
        numbered = numbered.replace("%s", f"${number}", 1)
    with psycopg.connect(postgres_url, autocommit=True) as session:
        session.execute("SET enable_seqscan = off")
        session.execute("SET plan_cache_mode = force_generic_plan")
        session.execute(f"PREPARE found AS {numbered}".encode())
        plan = session.execute(b"EXPLAIN EXECUTE found('life', 'execution-one', '', '', NULL)").fetchall()
    conditions = [line for (line,) in plan if "Index Cond" in line or "Recheck Cond" in line]
    assert any("originator_id" in line and "originator_version" in line for line in conditions), plan
