"""A trial run in another process: texts go there and come back, so nothing has to be pickled."""

import msgspec

from wtb.domain.errors import WtbError
from wtb.sdk.batches.workers.assignment import Assignment, Ended
from wtb.sdk.batches.workers.bench_spec import OpenBenches


class Refusal(msgspec.Struct, frozen=True):
    """An error of the tree in `wtb.domain.errors`; one from elsewhere is told as its root."""

    code: str
    message: str
    hint: str


class Reply(msgspec.Struct, frozen=True):
    """How an attempt ended, or what kept it from being made."""

    ended: Ended | None = None
    refusal: Refusal | None = None


BENCHES = OpenBenches()


def run_across(spec: str, assignment: str) -> str:
    """Bring a trial as far as it gets in this process, which opens the bench the first time; JSON in, JSON out."""
    reply: Reply
    try:
        reply = Reply(ended=BENCHES.get(spec).run(msgspec.json.decode(assignment, type=Assignment)))
    except WtbError as error:
        reply = Reply(refusal=Refusal(error.code, str(error), error.hint))
    except Exception as error:  # noqa: BLE001  # a worker's outermost loop survives, and tells
        reply = Reply(refusal=Refusal(WtbError.code, f"{type(error).__name__}: {error}", ""))
    return msgspec.json.encode(reply).decode()


def ended_of(reply: str) -> Ended:
    """How the attempt ended. Raises what kept it from being made, with its class, its message and its hint."""
    told = msgspec.json.decode(reply, type=Reply)
    if told.refusal is not None:
        raise _error(told.refusal)
    assert told.ended is not None
    return told.ended


def _error(refusal: Refusal) -> WtbError:
    kinds: list[type[WtbError]] = [WtbError]
    for kind in kinds:
        if kind.code == refusal.code:
            break
        kinds.extend(kind.__subclasses__())
    else:
        kind = WtbError
    error = kind.__new__(kind)
    WtbError.__init__(error, refusal.message, hint=refusal.hint)
    return error
