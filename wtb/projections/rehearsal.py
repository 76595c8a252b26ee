"""Events tried out on read models of their own, before they are in the log for ever.

What a read model can't fold would stop all of them. Events that a recording
wrote can be folded; those that came in a file are tried first.
"""

from collections.abc import Sequence

from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from wtb.domain.event_log import Recorded
from wtb.domain.execution import NodeFact
from wtb.projections.projector import BATCH, TableSet

_MOST_ATTEMPTS = 2**31 - 1
"""Postgres keeps no more in an INTEGER."""


def flaw_of(events: Sequence[Recorded]) -> str | None:
    """Why the read models couldn't take one stream's events, given from its first on; None when they can."""
    for event in events:
        if isinstance(event.fact, NodeFact) and not 0 <= event.fact.attempt <= _MOST_ATTEMPTS:
            return f"event {event.version} counts {event.fact.attempt} attempts"
    engine = create_engine("sqlite://", paramstyle="named")
    try:
        with engine.begin() as connection:
            tables = TableSet("live")
            tables.metadata.create_all(connection)
            for start in range(0, len(events), BATCH):
                for fold in tables.folds():
                    fold.take(connection, events[start : start + BATCH])
                    fold.write(connection)
    # Whatever their code and SQLite say of numbers, times and orders of events that no recording writes.
    except (ValueError, ArithmeticError, LookupError, TypeError, AssertionError, SQLAlchemyError) as refusal:
        return f"its events can't be shown: {type(refusal).__name__}: {refusal}"
    finally:
        engine.dispose()
    return None
