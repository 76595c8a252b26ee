"""Distinct types for the names things go by."""

from typing import NewType

ExecutionId = NewType("ExecutionId", str)
"""One run of a workflow; also LangGraph's ``thread_id``."""

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

_EXECUTION = "execution-"


def execution_stream(execution: str) -> StreamName:
    """The stream that holds an execution's events."""
    return StreamName(_EXECUTION + execution)


def execution_of(stream: str) -> ExecutionId:
    """The execution whose events a stream holds."""
    return ExecutionId(stream.removeprefix(_EXECUTION))


def node_path(namespace: str, node: str) -> str:
    """A node's name with the graphs it is nested in: ``sub/node``."""
    parts = [part for part in namespace.split("|") if part and not part.isdigit()]
    return "/".join([*(part.partition(":")[0] for part in parts), node])
