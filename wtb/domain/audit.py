"""What happens to the log itself and to what executions left in it: sealed, brought in, archived, erased.

The class and field names of the facts are the stored format, as in `execution`.
"""

from wtb.domain.execution import Fact
from wtb.domain.identifiers import ExecutionId, Position, StreamName

AUDIT_STREAM = StreamName("audit-log")
"""The one stream that holds these facts."""


class LogSealed(Fact):
    """All events up to a position are vouched for by one digest."""

    through: Position
    """The position of the last event that the seal covers."""
    events: int
    """How many events it covers beyond the seal before it."""
    digest: str
    """SHA-256, hexadecimal, over the seal before it and what it covers beyond that."""
    previous: str
    """The digest of the seal before it; empty for the first."""


class ExecutionImported(Fact):
    """An execution's events and values came in from a bundle."""

    execution: ExecutionId
    bundle: str
    """SHA-256 of the bundle's manifest, hexadecimal."""
    events: int


class ExecutionArchived(Fact):
    """An execution's values are no longer here, but in a bundle. Its events stay."""

    execution: ExecutionId
    bundle: str
    """As for `ExecutionImported`."""
    values: int
    """How many values are gone from here: those that no other execution names."""
    reason: str = ""


class ExecutionErased(Fact):
    """An execution's values are gone for ever. Its events stay, with the digests of what was."""

    execution: ExecutionId
    values: int
    reason: str = ""


AuditFact = LogSealed | ExecutionImported | ExecutionArchived | ExecutionErased
