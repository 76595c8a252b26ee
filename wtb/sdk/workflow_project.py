"""A project: where its executions are kept and what its workflow is called."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wtb.domain.errors import InvalidRequest
from wtb.domain.workflow import WHOLE
from wtb.infra.langgraph.loader import load_implementation
from wtb.infra.langgraph.variants import Variants
from wtb.infra.redaction import Redaction


@dataclass(frozen=True, slots=True)
class WorkflowProject:
    """Names a workflow and the places of its data.

    ``db_path`` is a file (made when missing) or a ``postgresql://`` URL.
    Each execution gets the folder ``output_dir/<execution_id>``, which its nodes
    find as ``config["configurable"]["output_dir"]``. ``actor`` is who is recorded
    as having caused what is done through this project; the operating system's
    user when None. ``synchronous`` says what an acknowledged event survives:
    ``NORMAL`` a killed process, ``FULL`` a power cut too. ``keep_files`` keeps
    what is in an execution's folder at each of its checkpoints. ``redact`` names
    what must never be stored.
    """

    name: str
    db_path: str | Path = "./data/wtb.db"
    output_dir: str | Path = "./outputs"
    actor: str | None = None
    synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    keep_files: bool = True
    redact: Redaction | None = None
    variants: Variants = field(default_factory=Variants, repr=False, compare=False)
    """What `variant` has added."""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name != self.name.strip():
            raise InvalidRequest(
                f"{self.name!r} can't name a workflow", hint="Use a name without slashes or blanks around it."
            )
        if self.synchronous not in ("NORMAL", "FULL"):
            raise InvalidRequest(f"synchronous can't be {self.synchronous!r}", hint="Use NORMAL or FULL.")

    def variant(self, node: str, name: str, implementation: object, *, description: str = "") -> None:
        """Give a node another implementation, to be chosen by name for an execution, a fork or a batch.

        ``node`` is its path, such as ``sub/answer``, or ``*`` for the whole graph. A
        function, a coroutine function, a Runnable or a graph may stand in for it, or
        the text ``module:attribute``, which is loaded now. Without a description it
        is the first line of the docstring. Whether it fits is checked when it meets
        its graph. Raises `InvalidVariant` or `GraphNotFound`.
        """
        reference = None
        if isinstance(implementation, str) and ":" in implementation:
            reference = implementation
            implementation = load_implementation(node, reference)
        self.variants.add(node, name, implementation, description, reference)

    def workflow_variant(self, name: str, graph: object, *, description: str = "") -> None:
        """Have another whole graph stand in for the workflow's: `variant` of ``*``."""
        self.variant(WHOLE, name, graph, description=description)

    @property
    def location(self) -> str:
        """The store's location as `open_store` takes it."""
        return str(self.db_path)
