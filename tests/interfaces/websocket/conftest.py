"""One server for each file of tests."""

from tests.interfaces.rest.conftest import api, server

__all__ = ["api", "server"]
