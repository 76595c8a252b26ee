"""The settings: one frozen object, read in one place.

An argument comes before an environment variable (``WTB_…``), that before
``wtb.toml``, that before the default. ``docs/settings.md`` explains each one.
"""

import getpass
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from wtb.domain.errors import InvalidSettings
from wtb.infra.redaction import compiled_pattern
from wtb.infra.references import References, ReferenceTables, placed

PREFIX = "WTB_"
CONFIG_FILE = "wtb.toml"
CONFIG_VARIABLE = "WTB_CONFIG"
TABLES = ("variants", "workflows")
"""The settings that are tables of references to code."""
POSTGRES = ("postgresql://", "postgres://")


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _user() -> str:
    """Who runs this: the operating system's user name, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def _store(location: str) -> str:
    if "://" in location and not location.startswith(("sqlite:///", *POSTGRES)):
        raise ValueError("a store is a path, an sqlite:/// URL or a postgresql:// URL")
    return location


def _nats(url: str) -> str:
    if not url.startswith(("nats://", "tls://", "ws://", "wss://")):
        raise ValueError("a NATS server is a nats://, tls://, ws:// or wss:// URL")
    return url


def _names(given: object) -> object:
    """Texts as a JSON list, or with commas between them."""
    listed = _json_list(given)
    return [name.strip() for name in listed.split(",")] if isinstance(listed, str) else listed


def _patterns(given: object) -> object:
    """Texts as a JSON list, or a single one."""
    listed = _json_list(given)
    return [listed] if isinstance(listed, str) else listed


def _json_list(given: object) -> object:
    if not isinstance(given, str):
        return given
    try:
        listed = json.loads(given)
    except ValueError:
        return given
    return listed if isinstance(listed, list) and all(isinstance(each, str) for each in listed) else given


def _pattern(pattern: str) -> str:
    compiled_pattern(pattern)
    return pattern


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """What can be set. Made by `load_settings`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    db: Annotated[_Text, AfterValidator(_store)] = "./data/wtb.db"
    output_dir: Path = Path("./outputs")
    keep_files: bool = True
    redact_channels: Annotated[tuple[_Text, ...], NoDecode, BeforeValidator(_names)] = ()
    redact_patterns: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...], NoDecode, BeforeValidator(_patterns)
    ] = ()
    synchronous: Annotated[Literal["NORMAL", "FULL"], BeforeValidator(_upper)] = "NORMAL"
    actor: _Text = Field(default_factory=_user)
    langgraph_json: Path | None = None
    variants: ReferenceTables = Field(default_factory=dict)
    workflows: References = Field(default_factory=dict)
    host: _Text = "127.0.0.1"
    port: _Port = 8000
    grpc_port: _Port = 50051
    nats_url: Annotated[_Text, AfterValidator(_nats)] | None = None
    nats_store_dir: Path | None = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = "INFO"

    @property
    def nats_folder(self) -> Path:
        """Where the embedded NATS server keeps its stream: by default beside the SQLite file."""
        if self.nats_store_dir is not None:
            return self.nats_store_dir
        if self.db.startswith(POSTGRES):
            return Path("./data/nats")
        return Path(self.db.removeprefix("sqlite:///") + "-nats").expanduser()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, without_secrets(value) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load_settings` reads the others, for it knows which file is meant


def load_settings(config: str | Path | None = None, **overrides: Any) -> Settings:
    """Read the settings. ``config`` names the TOML file; an override that is None counts as not given.

    Raises `InvalidSettings`, whose message is one line that names the setting.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**{**_file_settings(config), **EnvSettingsSource(Settings)(), **given})
    except ValidationError as refusal:
        raise InvalidSettings(_explained(refusal.errors(include_url=False)[0])) from None


def without_secrets(url: str) -> str:
    """A URL that may be shown: its password, in either place it can stand, is starred."""
    url = re.sub(r"(://[^:/?#@]*:)[^/?#]*(?=@)", r"\1***", url)
    return re.sub(r"([?&](?:ssl)?password=)[^&#]*", r"\1***", url)


def _file_settings(config: str | Path | None) -> dict[str, Any]:
    named = config or os.environ.get(CONFIG_VARIABLE)
    path = Path(named or CONFIG_FILE)
    if not named and not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text())
    except OSError as refusal:
        raise InvalidSettings(f"settings file {path} can't be read: {refusal.strerror}") from refusal
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as damage:
        raise InvalidSettings(f"settings file {path} isn't TOML: {damage}") from damage
    folder = path.expanduser().absolute().parent
    return {name: placed(value, folder) if name in TABLES else value for name, value in found.items()}


def _explained(error: ErrorDetails) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return f"there is no setting {name!r}"
    value = error["input"]
    shown = without_secrets(value) if isinstance(value, str) else value
    reason = error["msg"].removeprefix("Value error, ")
    return f"setting {name} ({PREFIX}{name.upper()}) can't be {shown!r}: {reason}"
