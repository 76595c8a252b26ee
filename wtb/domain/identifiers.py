"""Distinct types for the names things go by."""

from typing import NewType

from wtb.domain.errors import BatchNotFound, ExecutionNotFound, InvalidRequest

ExecutionId = NewType("ExecutionId", str)
"""One run of a workflow; also LangGraph's ``thread_id``."""

BatchId = NewType("BatchId", str)
"""Many cases run and compared."""

CheckpointId = NewType("CheckpointId", str)
"""LangGraph's checkpoint id (a time-ordered UUID, so it sorts by age)."""

TaskId = NewType("TaskId", str)
"""LangGraph's id of one node's work in one superstep; equal again after a crash."""

Namespace = NewType("Namespace", str)
"""Where in nested graphs: ``""`` for the root, ``node:task_id`` joined by ``|`` below it.

A graph that a task runs again, as when its node is retried, has a number after it: ``node:task_id|1``.
"""

Digest = NewType("Digest", str)
"""SHA-256 of a value's serialised form, base64url without padding (43 characters), or ``"null"`` for None."""

WorkerId = NewType("WorkerId", str)
"""A process that runs executions, as it announced itself to the store."""

StreamName = NewType("StreamName", str)
"""One aggregate's events, such as ``execution-<id>``."""

Position = NewType("Position", int)
"""An event's place in the whole log: ordered, from 1, never reused, not dense."""

Version = NewType("Version", int)
"""An event's place in its own stream: 1, 2, 3, …"""

NULL_DIGEST = Digest("null")
"""None needs no storing."""

LONGEST_EXECUTION_ID = 200
"""Bytes of UTF-8: a folder is named by it, and file systems stop at 255."""

_EXECUTION = "execution-"
_WORKFLOW = "workflow-"
_BATCH = "batch-"

LONGEST_NAME = 500
"""Bytes. Read models have indexes of such names, and Postgres takes some 2,700 bytes into an entry."""


def new_id(text: str) -> ExecutionId:
    """The id that somebody chose for a new execution.

    It names a folder too, so it must be one path component everywhere. Raises
    `InvalidRequest`.
    """
    storable = is_storable(text)
    if not storable or not text.isprintable() or not text.strip(" .") or "/" in text or "\\" in text:
        flaw = "it must name a folder"
    elif len(text.encode()) > LONGEST_EXECUTION_ID:
        flaw = f"it is longer than {LONGEST_EXECUTION_ID} bytes"
    else:
        return ExecutionId(text)
    shown = text if len(text) <= LONGEST_EXECUTION_ID else text[:50] + "…"
    raise InvalidRequest(
        f"{shown!r} can't be an execution's id: {flaw}",
        hint="Use letters, digits, dots, dashes and underscores, or leave it out.",
    )


def known_id(text: str) -> ExecutionId:
    """The id of an execution that there may be. Raises `ExecutionNotFound` for text that no database can hold."""
    if not is_storable(text):
        raise ExecutionNotFound(text)
    return ExecutionId(text)


def known_batch(text: str) -> BatchId:
    """The id of a batch that there may be. Raises `BatchNotFound` for text that no database can hold."""
    if not is_storable(text):
        raise BatchNotFound(text)
    return BatchId(text)


def is_storable(text: str) -> bool:
    """Whether both databases take it: no zero character, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def is_name(text: object) -> bool:
    """Whether something can name a workflow, a variant or a case, in both databases."""
    return isinstance(text, str) and is_storable(text) and 0 < len(text.encode()) <= LONGEST_NAME


def execution_stream(execution: str) -> StreamName:
    """The stream that holds an execution's events."""
    return StreamName(_EXECUTION + execution)


def execution_of(stream: str) -> ExecutionId:
    """The execution whose events a stream holds."""
    return ExecutionId(stream.removeprefix(_EXECUTION))


def workflow_stream(workflow: str) -> StreamName:
    """The stream that holds a workflow's events."""
    return StreamName(_WORKFLOW + workflow)


def batch_stream(batch: str) -> StreamName:
    """The stream that holds a batch's events; those of its trials are in their executions' streams."""
    return StreamName(_BATCH + batch)


def is_batch(stream: str) -> bool:
    """Whether a stream holds a batch's events."""
    return stream.startswith(_BATCH)


def subject_of(stream: str) -> str:
    """The id of what a stream is about: an execution's, a workflow's name, a batch's."""
    return stream.partition("-")[2]


def node_path(namespace: str, node: str) -> str:
    """A node's name with the graphs it is nested in: ``sub/node``."""
    parts = [part for part in namespace.split("|") if part and not part.isdigit()]
    return "/".join([*(part.partition(":")[0] for part in parts), node])
