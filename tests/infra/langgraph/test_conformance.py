"""LangGraph's own conformance suite for checkpointers, all of it, on both databases."""

from collections.abc import AsyncGenerator
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import ALL_CAPABILITIES
from langgraph.checkpoint.conformance.report import ProgressCallbacks

from wtb.infra.langgraph.checkpointer import EventSourcedSaver

TESTS = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}
"""How many tests the installed suite holds for each capability; when a later one holds others, look and count again."""


async def test_the_saver_passes_every_test_of_all_eight_capabilities(store_location: str) -> None:
    @checkpointer_test(name="EventSourcedSaver")
    async def opened() -> AsyncGenerator[BaseCheckpointSaver[Any], None]:
        # Later capabilities find what earlier ones left, as in a store that has been used.
        async with EventSourcedSaver.afrom_conn_string(store_location) as saver:
            yield saver

    failed: list[str] = []

    def told(capability: str, test: str, passed: bool, error: str | None) -> None:
        if not passed:
            failed.append(f"{capability}.{test}: {error}")

    report = await validate(opened, progress=ProgressCallbacks(on_test_result=told))

    assert failed == []
    assert {capability.value for capability in ALL_CAPABILITIES} == set(TESTS)
    # The suite passes over a capability it doesn't detect, and calls the rest of it FULL all the same.
    assert [name for name, result in report.results.items() if not result.detected or not result.passed] == []
    assert {name: result.tests_passed for name, result in report.results.items()} == TESTS
    assert {
        name: result.tests_failed + result.tests_skipped for name, result in report.results.items()
    } == dict.fromkeys(TESTS, 0)
    assert sum(TESTS.values()) == 81
