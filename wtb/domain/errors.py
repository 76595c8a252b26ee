"""Every refusal and failure WTB raises, in one tree.

::

    WtbError
     ├─ InvalidRequest                  the caller can mend it
     │   ├─ InvalidState                a graph's input doesn't fit its schema, or can't be stored
     │   │   └─ UnserializableValue     names the node and the channel
     │   ├─ InvalidAnswer               an answer that fits no waiting interrupt
     │   ├─ InvalidCursor
     │   ├─ InvalidSettings
     │   ├─ InvalidVariant              not something that can stand in for a node
     │   ├─ InvalidGraph                not something that can be run
     │   ├─ InvalidCase                 names the case that doesn't fit the graph's input, or the file's line
     │   └─ InvalidBundle               not an export as it was written; names the first flaw
     ├─ NotFound
     │   ├─ ExecutionNotFound
     │   ├─ CheckpointNotFound
     │   ├─ FileNotKept                 the output folder had no such file at the checkpoint
     │   ├─ NodeNotFound                the graph, or the execution where it stands, has no such node
     │   ├─ VariantNotFound
     │   ├─ WorkflowNotFound            no graph is known under the workflow's name
     │   ├─ BatchNotFound
     │   └─ GraphNotFound               ``module:attribute`` or ``langgraph.json`` leads nowhere
     ├─ Conflict                        true when asked, no longer true when done
     │   ├─ VersionConflict             another writer was first; nothing was written
     │   ├─ ExecutionExists
     │   ├─ NotResumable                only a paused execution can be resumed
     │   ├─ WrongStatus                 the execution's status doesn't allow what was asked
     │   ├─ NothingToUndo               no rollback, or something has run since
     │   ├─ ExecutionTaken              another process runs the execution
     │   ├─ RetiredVariant              isn't to be chosen any more
     │   ├─ ArchivedWorkflow            isn't to be run any more
     │   ├─ BatchExists
     │   └─ BatchTaken                  another process runs the batch
     ├─ StoreError
     │   ├─ StoreUnavailable            can't be opened or reached, is locked, or has no room; nothing was lost
     │   ├─ NotAStore                   the file isn't a WTB database, or is damaged
     │   ├─ StoreTooNew                 written by a later WTB
     │   ├─ UnknownEvent                an event type or version this WTB can't read
     │   └─ ValueMissing                an event names a value that isn't stored
     ├─ LogNotWhole                     raised by ``Verification.raise_for_damage()``; names the first event
     ├─ ExtraMissing                    what was asked for needs packages that aren't installed
     ├─ WorkerDied                      the process that ran a batch's trial
     ├─ TrialTimedOut                   a batch's trial took longer than it may
     ├─ BatchFailedError                raised by ``BatchResult.raise_for_status()``
     └─ ExecutionFailedError            raised by ``RunResult.raise_for_status()``

Each error carries ``hint``: one line that says what to do.
"""

from typing import ClassVar


class WtbError(Exception):
    """Root of the tree.

    ``code`` is the error's stable name in every interface; ``hint`` is one line
    that says what to do about it.
    """

    code: ClassVar[str] = "error"
    hint: str = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint or type(self).hint


class InvalidRequest(WtbError):
    code = "invalid-request"


class InvalidState(InvalidRequest):
    code = "invalid-state"
    hint = "Give a state that fits the graph's input schema."


class UnserializableValue(InvalidState):
    """A value that can't be stored; ``node`` wrote it to ``channel``."""

    code = "unserializable-value"
    hint = "Keep plain data, dataclasses, pydantic models or LangChain messages in the state."

    def __init__(self, *, node: str, channel: str, kind: str, reason: str) -> None:
        super().__init__(f"node {node!r} wrote a {kind} to channel {channel!r} that can't be stored: {reason}")
        self.node = node
        self.channel = channel


class InvalidAnswer(InvalidRequest):
    code = "invalid-answer"
    hint = "Answer with answer=…, or with answers={interrupt_id: …} when several wait."


class InvalidCursor(InvalidRequest):
    code = "invalid-cursor"
    hint = "Use the next_cursor of the page before, with the same filters."


class InvalidSettings(InvalidRequest):
    code = "invalid-settings"
    hint = "See docs/settings.md for every setting and its values."


class InvalidVariant(InvalidRequest):
    code = "invalid-variant"
    hint = "Give a function, a coroutine function, a Runnable or a compiled graph, under a name of its own."


class InvalidGraph(InvalidRequest):
    code = "invalid-graph"
    hint = "Give a StateGraph or what its compile() returns."


class InvalidCase(InvalidRequest):
    code = "invalid-case"
    hint = "Give each case an id of its own and an input that fits the graph's input schema."


class InvalidBundle(InvalidRequest):
    code = "invalid-bundle"
    hint = "Import the file that `wtb audit export` wrote, as it was written."


class NotFound(WtbError):
    code = "not-found"


class ExecutionNotFound(NotFound):
    code = "execution-not-found"
    hint = "`wtb list` shows the executions in this store."

    def __init__(self, execution: str) -> None:
        super().__init__(f"there is no execution {execution!r} in this store")


class CheckpointNotFound(NotFound):
    code = "checkpoint-not-found"
    hint = "`wtb checkpoints ID` shows an execution's checkpoints."

    def __init__(self, execution: str, checkpoint: str | None) -> None:
        what = f"checkpoint {checkpoint!r}" if checkpoint else "checkpoint"
        super().__init__(f"execution {execution!r} has no {what}")


class FileNotKept(NotFound):
    code = "file-not-kept"
    hint = "`wtb files ID --at CHECKPOINT` shows what was kept."

    def __init__(self, execution: str, checkpoint: str, path: str) -> None:
        super().__init__(f"execution {execution!r} had no file {path!r} at checkpoint {checkpoint!r}")


class NodeNotFound(NotFound):
    code = "node-not-found"
    hint = "Name a node by its path, such as answer or sub/answer; `wtb steps ID` shows those of an execution."


class VariantNotFound(NotFound):
    code = "variant-not-found"
    hint = (
        "Register it before: project.variant(node, name, implementation); on the CLI: --variant NODE=module:attribute."
    )

    def __init__(self, node: str, variant: str) -> None:
        super().__init__(f"node {node!r} has no variant {variant!r}")


class WorkflowNotFound(NotFound):
    code = "workflow-not-found"
    hint = "Register its graph: bench.register(graph, workflow=…), --graph on the CLI, or langgraph.json."

    def __init__(self, workflow: str) -> None:
        super().__init__(f"no graph is known for workflow {workflow!r}")


class BatchNotFound(NotFound):
    code = "batch-not-found"
    hint = "`wtb batch list` shows the batches in this store."

    def __init__(self, batch: str) -> None:
        super().__init__(f"there is no batch {batch!r} in this store")


class GraphNotFound(NotFound):
    code = "graph-not-found"
    hint = "Name it as module:attribute, path/to/file.py:attribute, or by its id in langgraph.json."


class Conflict(WtbError):
    code = "conflict"


class VersionConflict(Conflict):
    code = "version-conflict"
    hint = "Read again and decide again; nothing was written."

    def __init__(self, stream: str, expected: int) -> None:
        super().__init__(f"stream {stream!r} is no longer at version {expected}")


class ExecutionExists(Conflict):
    code = "execution-exists"
    hint = "Choose another execution_id, or leave it out."

    def __init__(self, execution: str) -> None:
        super().__init__(f"execution {execution!r} exists already")


class NotResumable(Conflict):
    code = "not-resumable"
    hint = "Only an execution that waits for an answer or was paused can be resumed."

    def __init__(self, execution: str, status: str) -> None:
        super().__init__(f"execution {execution!r} can't be resumed: it is {status}")
        self.status = status


class WrongStatus(Conflict):
    code = "wrong-status"
    hint = "`wtb show ID` shows the execution as it is now."

    def __init__(self, execution: str, status: str, what: str) -> None:
        super().__init__(f"execution {execution!r} can't {what}: it is {status}")
        self.status = status


class NothingToUndo(Conflict):
    code = "nothing-to-undo"
    hint = "Only a rollback after which nothing has run can be undone; else roll back to another checkpoint."

    def __init__(self, execution: str) -> None:
        super().__init__(f"execution {execution!r} stands at no rollback")


class ExecutionTaken(Conflict):
    code = "execution-taken"
    hint = "Another process runs it; wait for it, or recover it once that process is gone."

    def __init__(self, execution: str, worker: str) -> None:
        super().__init__(f"execution {execution!r} is being run by worker {worker}")


class RetiredVariant(Conflict):
    code = "variant-retired"
    hint = "Choose another variant, or restore this one: `wtb variants restore`."

    def __init__(self, node: str, variant: str) -> None:
        super().__init__(f"variant {variant!r} of node {node!r} is retired")


class ArchivedWorkflow(Conflict):
    code = "workflow-archived"
    hint = "Restore it to run it again: `wtb workflows restore`."

    def __init__(self, workflow: str) -> None:
        super().__init__(f"workflow {workflow!r} is archived")


class BatchExists(Conflict):
    code = "batch-exists"
    hint = "Choose another batch_id, or leave it out."

    def __init__(self, batch: str) -> None:
        super().__init__(f"batch {batch!r} exists already")


class BatchTaken(Conflict):
    code = "batch-taken"
    hint = "Another process runs it; wait for it, stop it, or resume it once that process is gone."

    def __init__(self, batch: str, worker: str) -> None:
        super().__init__(f"batch {batch!r} is being run by worker {worker}")


class StoreError(WtbError):
    code = "store-error"


class StoreUnavailable(StoreError):
    code = "store-unavailable"
    hint = "Check that the database can be reached and written, and that the disk has room; then run `wtb recover`."


class NotAStore(StoreError):
    code = "not-a-store"
    hint = "Point --db at a WTB database, or at a path where a new one may be made."


class StoreTooNew(StoreError):
    code = "store-too-new"
    hint = "Upgrade wtb."


class UnknownEvent(StoreError):
    code = "unknown-event"
    hint = "Upgrade wtb: a later version wrote this event."


class ValueMissing(StoreError):
    code = "value-missing"
    hint = "The store is damaged, or the value was erased."


class LogNotWhole(WtbError):
    code = "log-not-whole"
    hint = "Keep the database as it is for whoever looks into it, and go on from a copy made before."


class ExtraMissing(WtbError):
    code = "extra-missing"
    hint = "Install the extra of wtb that has them, such as wtb[batch]."

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs packages that aren't installed", hint=f"Install them: pip install 'wtb[{extra}]'."
        )


class WorkerDied(WtbError):
    code = "worker-died"
    hint = "Look for what ended it: the system's log tells of memory that ran out."


class TrialTimedOut(WtbError):
    code = "trial-timed-out"
    hint = "Give it more time with timeout=…, or find what it waits for."


class BatchFailedError(WtbError):
    code = "batch-failed"
    hint = "`wtb batch show ID` tells which trials failed, and why."


class ExecutionFailedError(WtbError):
    code = "execution-failed"
    hint = "`wtb show ID` tells where; mend the node and run again."
