"""Stopping a batch, from any process: said in its stream, and heard by whoever runs it."""

import time

from wtb.domain import batch_decisions
from wtb.domain.batch import Running
from wtb.domain.errors import VersionConflict
from wtb.domain.event_log import Append, Origin
from wtb.domain.identifiers import BatchId, batch_stream
from wtb.sdk.batches.beginnings import is_run, standing
from wtb.sdk.platform import Platform


def stop(platform: Platform, batch: BatchId, reason: str, origin: Origin) -> None:
    """Have no further trial start; what is under way ends. Raises `BatchNotFound`."""
    while True:
        state, head = standing(platform, batch)
        alive = isinstance(state, Running) and is_run(platform, batch, state)
        facts = batch_decisions.request_stop(batch, state, reason, alive=alive)
        if not facts:
            return
        now = time.time_ns() // 1000
        try:
            platform.store.append([Append(batch_stream(batch), head, facts, [now] * len(facts), origin)])
        except VersionConflict:
            pass  # it has moved on meanwhile, as one that runs does: look again
        else:
            return
