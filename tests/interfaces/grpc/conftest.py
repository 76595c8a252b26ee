"""One server for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.interfaces.grpc.given import Given, served


@pytest_asyncio.fixture
async def given(tmp_path: Path) -> AsyncIterator[Given]:
    async with served(tmp_path) as given:
        yield given
