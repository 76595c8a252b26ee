"""Wires everything; the one place where the clock, new ids and the environment are read."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from langgraph.checkpoint.base.id import uuid6
from sqlalchemy import Connection, Engine
from uuid_utils import uuid7

from wtb.domain.event_log import Origin
from wtb.domain.identifiers import BatchId, CheckpointId, ExecutionId
from wtb.infra.event_store.presence import Presence, open_presence
from wtb.infra.event_store.seal import Sealer
from wtb.infra.event_store.store import EventStore, Synchronous, open_store
from wtb.infra.langgraph.checkpointer import EventSourcedSaver
from wtb.infra.langgraph.serializer import strict_serializer
from wtb.infra.output_folder.scanning import OutputFolder
from wtb.infra.redaction import Redaction
from wtb.projections.database import engine_for
from wtb.projections.projector import Projector
from wtb.sdk.registry import Registry


@dataclass(frozen=True, slots=True)
class Platform:
    """One process's hold on one store, and what stands on it."""

    store: EventStore
    presence: Presence
    saver: EventSourcedSaver
    projector: Projector
    read_models: Engine
    output_dir: Path
    actor: str
    sealer: Sealer
    registry: Registry
    keep_files: bool = True
    """Whether the files of executions' output folders are kept at each checkpoint."""
    batches: dict[BatchId, object] = field(default_factory=dict)
    """Those that this process runs now, each with what runs it."""

    def origin(self, *, cause: str | None = None, actor: str | None = None, trace: str | None = None) -> Origin:
        return Origin(actor or self.actor, cause, trace)

    def output_folder(self, execution: ExecutionId) -> OutputFolder | None:
        """What keeps the files of an execution; None when they aren't kept."""
        return OutputFolder(self.output_dir / execution, self.store.redaction) if self.keep_files else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read models that hold all that was acknowledged before."""
        self.projector.catch_up()
        with self.read_models.connect() as connection:
            yield connection

    def close(self) -> None:
        self.read_models.dispose()
        self.saver.committer.close()
        self.presence.close()
        self.store.close()


def open_platform(
    location: str,
    output_dir: str | Path,
    *,
    actor: str | None = None,
    synchronous: Synchronous = "NORMAL",
    keep_files: bool = True,
    redact: Redaction | None = None,
) -> Platform:
    """Open a store and all that stands on it. Raises `StoreError`."""
    store = open_store(location, synchronous, redaction=redact)
    read_models = engine_for(location, synchronous)
    by = actor or getpass.getuser()
    return Platform(
        store=store,
        presence=open_presence(location),
        saver=EventSourcedSaver(store, serde=strict_serializer()),
        projector=Projector(store, read_models),
        read_models=read_models,
        output_dir=Path(output_dir).expanduser().absolute(),
        actor=by,
        sealer=Sealer(store, Origin(by, "seal")),
        registry=Registry(store),
        keep_files=keep_files,
    )


def new_checkpoint_id(step: int) -> CheckpointId:
    """A new id as LangGraph makes them; later ones sort after earlier ones."""
    return CheckpointId(str(uuid6(clock_seq=step)))


def now() -> str:
    """The time, as checkpoints tell it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()


def new_execution_id() -> ExecutionId:
    """A new id; later ones sort after earlier ones."""
    return ExecutionId(str(uuid7()))


def new_batch_id() -> BatchId:
    """As `new_execution_id`."""
    return BatchId(str(uuid7()))
