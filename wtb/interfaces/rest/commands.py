"""What a request may ask to be done, as its body says it."""

import json
from typing import Annotated, Any

import msgspec
from langchain_core.runnables import RunnableConfig
from msgspec import UNSET, Meta, UnsetType

from wtb.domain.errors import ExecutionNotFound, InvalidRequest
from wtb.domain.execution import ExecutionStarted
from wtb.sdk import TestBench

NewId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z", description="Also names a folder")]

LANGGRAPHS_OWN = ("__", "checkpoint")
"""How LangGraph's own configurable keys begin."""

WTBS_OWN = {"thread_id", "output_dir"}


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of LangGraph's config a request may set."""

    recursion_limit: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    max_concurrency: Annotated[int, Meta(ge=1, le=1000)] | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    configurable: dict[str, Any] | None = None
    """What the graph's own nodes look for in ``config["configurable"]``."""

    def for_langgraph(self) -> RunnableConfig:
        """Raises `InvalidRequest` for a key that isn't the graph's."""
        for key in self.configurable or {}:
            if key in WTBS_OWN or key.startswith(LANGGRAPHS_OWN):
                raise InvalidRequest(
                    f"config.configurable.{key} isn't the graph's own", hint="Leave it out; WTB sets it."
                )
        config: RunnableConfig = msgspec.to_builtins(self)
        return config


class StartExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run a workflow on an input. With an ``execution_id`` it is safe to repeat."""

    workflow: str
    input: Any
    execution_id: NewId | None = None
    config: RunConfig = RunConfig()

    def is_how_it_began(self, bench: TestBench, execution: str) -> bool:
        """Whether an execution was started for this workflow and with this input."""
        try:
            events = bench.events(execution, limit=1)
        except ExecutionNotFound:
            return False
        started = events[0].fact
        if not isinstance(started, ExecutionStarted) or started.workflow != self.workflow:
            return False
        recorded = bench.platform.saver.history.load({started.input})[started.input]
        return _canonical(recorded) == _canonical(self.input)


class ResumeExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answer what an execution waits for: the only question, or several by interrupt id.

    Answers by id are safe to repeat: a question that no longer waits is refused.
    """

    answer: Any | UnsetType = UNSET
    answers: dict[str, Any] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.answer is not UNSET and self.answers is not UNSET:
            raise ValueError("give answer or answers, not both")


def _canonical(value: Any) -> str:
    """The same text for the same JSON; another one for ``1``, ``1.0`` and ``true``."""
    return json.dumps(value, sort_keys=True, default=repr)
