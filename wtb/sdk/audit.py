"""Vouching for the log, and proving that it is whole."""

import time

from wtb.domain.audit import LogSealed
from wtb.infra.event_store import seal as seals
from wtb.infra.event_store import verification
from wtb.infra.event_store.finding import Finding, Verification
from wtb.sdk.platform import Platform

__all__ = ["Finding", "Verification", "seal", "verify"]


def seal(platform: Platform, actor: str | None = None) -> LogSealed:
    """Vouch for everything that is in the log now. Raises `StoreError`."""
    return seals.seal(platform.store, platform.origin(cause="seal", actor=actor), time.time_ns() // 1000)


def verify(platform: Platform, expected: str | None = None) -> Verification:
    """Raises `StoreError`, or `InvalidRequest` for what can't be a seal's digest."""
    return verification.verify(platform.store, expected)
