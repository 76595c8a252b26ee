"""Settings: where they come from, which one wins, what is refused."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from wtb.domain.errors import InvalidSettings
from wtb.infra.references import Reference
from wtb.infra.settings import PREFIX, Settings, load_settings, without_secrets

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working folder and no variable."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.delenv("WTB_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_need_nothing() -> None:
    settings = load_settings()
    assert (settings.db, settings.output_dir, settings.synchronous) == (
        "./data/wtb.db",
        Path("./outputs"),
        "NORMAL",
    )
    assert (settings.host, settings.port, settings.grpc_port) == ("127.0.0.1", 8000, 50051)
    assert settings.actor


def test_an_argument_comes_before_a_variable_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("wtb.toml").write_text('port = 1\ngrpc_port = 1\nhost = "localhost"\n')
    monkeypatch.setenv("WTB_PORT", "2")
    monkeypatch.setenv("WTB_GRPC_PORT", "2")
    settings = load_settings(port=3)
    assert (settings.port, settings.grpc_port, settings.host) == (3, 2, "localhost")


def test_none_and_an_empty_variable_count_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTB_DB", "other.db")
    monkeypatch.setenv("WTB_NATS_URL", "")
    settings = load_settings(db=None)
    assert (settings.db, settings.nats_url) == ("other.db", None)


def test_the_file_is_named_by_the_argument_or_else_by_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_text("port = 1")
    (tmp_path / "b.toml").write_text("port = 2")
    monkeypatch.setenv("WTB_CONFIG", "a.toml")
    assert load_settings().port == 1
    assert load_settings("b.toml").port == 2


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("GRPC_PORT", "-1"),
        ("SYNCHRONOUS", "OFF"),
        ("DB", "mysql://host/db"),
        ("DB", " "),
        ("HOST", " "),
        ("NATS_URL", "http://host"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(InvalidSettings) as refusal:
        load_settings()
    assert PREFIX + name in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("db", ["wtb.db", "sqlite:///wtb.db", "postgresql://host/db", "postgres://host/db", "C:x.db"])
def test_a_store_is_a_path_or_a_url_of_a_known_kind(db: str) -> None:
    assert load_settings(db=db).db == db


def test_choices_may_be_written_small() -> None:
    settings = load_settings(synchronous="full", log_level="debug")
    assert (settings.synchronous, settings.log_level) == ("FULL", "DEBUG")


@pytest.mark.parametrize(("text", "names"), [("prot = 1", "prot"), ("port = ", "wtb.toml"), ('port = "x"', "WTB_PORT")])
def test_a_file_with_a_mistake_is_refused(text: str, names: str) -> None:
    Path("wtb.toml").write_text(text)
    with pytest.raises(InvalidSettings, match=names):
        load_settings()


def test_a_named_file_must_exist() -> None:
    with pytest.raises(InvalidSettings, match=r"nowhere\.toml"):
        load_settings("nowhere.toml")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host/db",
        "postgresql://me:s3cret@s3cret@host/db",
        "postgresql://host/db?user=me&password=s3cret&sslmode=require",
        "postgresql://host/db?sslpassword=s3cret",
        "nats://:s3cret@host:4222",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    assert "s3cret" not in without_secrets(url)
    settings = Settings.model_construct(**{**load_settings().model_dump(), "db": url, "nats_url": url})
    assert "s3cret" not in repr(settings) + str(settings)
    with pytest.raises(InvalidSettings) as refusal:
        load_settings(nats_url="x" + url)
    assert "s3cret" not in str(refusal.value)


def test_the_embedded_nats_keeps_its_stream_beside_the_store() -> None:
    assert load_settings(db="sqlite:///a/wtb.db").nats_folder == Path("a/wtb.db-nats")
    assert load_settings(db="a/wtb.db").nats_folder == Path("a/wtb.db-nats")
    assert load_settings(db="postgresql://host/db").nats_folder == Path("data/nats")
    assert load_settings(nats_store_dir="n").nats_folder == Path("n")


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+?) \| (.+?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert {key for _, key, _, _ in rows} == set(Settings.model_fields)
    assert all(variable == PREFIX + key.upper() for variable, key, _, _ in rows)


def test_the_documented_defaults_are_true() -> None:
    rows = re.findall(r"^\| `\w+` \| `(\w+)` \| `([^`]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert rows
    for key, default in rows:
        assert Settings.model_fields[key].default == type(Settings.model_fields[key].default)(default)


def test_a_table_of_references_is_relative_to_its_file_and_a_variable_to_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "wtb.toml").write_text('[workflows]\na = "agents:graph"\n"b.c" = "./b.py:graph"\n')
    here = tmp_path / "conf"
    assert load_settings("conf/wtb.toml").workflows == {
        "a": Reference("agents:graph", here),
        "b.c": Reference("./b.py:graph", here),
    }
    monkeypatch.setenv("WTB_WORKFLOWS", '{"a": "other:graph"}')
    settings = load_settings("conf/wtb.toml")
    assert settings.workflows == {"a": Reference("other:graph")}
    assert settings.model_dump(mode="json")["workflows"] == {"a": "other:graph"}


@pytest.mark.parametrize(
    "table",
    ['workflows = "agents:graph"', "[workflows]\na = 1", '[workflows]\na = "agents"', '[workflows]\n" " = "a:b"'],
)
def test_a_table_that_names_no_code_is_refused_in_one_line(table: str) -> None:
    Path("wtb.toml").write_text(table)
    with pytest.raises(InvalidSettings, match="setting workflows") as refusal:
        load_settings()
    assert "\n" not in str(refusal.value)


def test_a_variable_that_is_no_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTB_WORKFLOWS", "agents:graph")
    with pytest.raises(InvalidSettings, match="setting workflows"):
        load_settings()
