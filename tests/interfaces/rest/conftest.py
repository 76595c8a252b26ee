"""One server for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.interfaces.rest.given import Client, client_of, server_in_thread, settings_in
from wtb.interfaces.serve import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_in_thread(settings_in(tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[Client]:
    with client_of(server) as client:
        yield client
