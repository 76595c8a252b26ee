"""A bench, described so that another process can open it: plain data, names, and no objects."""

import sys
import sysconfig
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from wtb.domain.errors import InvalidRequest
from wtb.domain.workflow import OWN, WHOLE
from wtb.infra.langgraph.internals import allowlist
from wtb.infra.langgraph.loader import load_attribute, load_graph
from wtb.infra.langgraph.variants import Variants
from wtb.infra.redaction import Redaction
from wtb.infra.settings import POSTGRES, without_secrets
from wtb.sdk.batches.workers.references import MAINS, reference_of
from wtb.sdk.batches.workers.trial_run import TrialRunner
from wtb.sdk.platform import open_platform
from wtb.sdk.running import Options
from wtb.sdk.workflow_project import WorkflowProject
from wtb.sdk.workflows import Workflows


class NamedVariant(msgspec.Struct, frozen=True):
    """A variant, and the name of what stands in for the node."""

    node: str
    name: str
    reference: str


class BenchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to run trials of one workflow.

    It may hold a database's password, so it is handed over and never stored or shown.
    """

    project: str
    location: str
    """Of the store; a path is absolute."""
    output_dir: str
    synchronous: Literal["NORMAL", "FULL"]
    keep_files: bool
    redacted: tuple[tuple[str, ...], tuple[str, ...]] | None
    """Channels and patterns."""
    actor: str
    cause: str | None
    trace: str | None
    graph: str
    variants: tuple[NamedVariant, ...]
    folder: str
    """Where references to files and modules begin."""
    path: tuple[str, ...]
    """Folders that imports look in, beside Python's own."""
    config: dict[str, Any]
    context: Any

    @classmethod
    def of(
        cls,
        project: WorkflowProject,
        runner: TrialRunner,
        workflow: str,
        graph: object,
        combinations: Iterable[Mapping[str, str]],
    ) -> "BenchSpec":
        """Describe this process's bench, a workflow's graph, and the variants of these combinations.

        Raises `InvalidRequest` for what another process can't find or read, and
        `VariantNotFound`.
        """
        _check_types(runner, workflow)
        redact, origin, options = project.redact, runner.origin, runner.options
        return cls(
            project=project.name,
            location=absolute(project.location),
            output_dir=str(runner.platform.output_dir),
            synchronous=project.synchronous,
            keep_files=project.keep_files,
            redacted=None if redact is None else (tuple(redact.channels), tuple(redact.patterns)),
            actor=origin.actor,
            cause=origin.cause,
            trace=origin.trace,
            graph=reference_of(graph, f"the graph of workflow {workflow!r}"),
            variants=tuple(
                NamedVariant(
                    node, name, reference_of(project.variants.given(node, name), f"variant {name!r} of node {node!r}")
                )
                for node, name in _chosen(combinations)
            ),
            folder=str(Path.cwd()),
            path=tuple(_import_path()),
            config=_plain(options.config or {}, "config"),
            context=_plain({"context": options.context}, "")["context"],
        )

    @classmethod
    def from_text(cls, text: str) -> "BenchSpec":
        return msgspec.json.decode(text, type=cls)

    @property
    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    @property
    def is_shared(self) -> bool:
        """Whether other machines can reach the store."""
        return self.location.startswith(POSTGRES)

    def __repr__(self) -> str:
        return f"BenchSpec({self.project!r}, {without_secrets(self.location)!r}, {self.graph!r})"

    def open(self) -> TrialRunner:
        """Open the bench in this process, and import what the spec names.

        Raises `GraphNotFound`, `InvalidGraph`, `InvalidVariant` or `StoreError`.
        """
        missing = [folder for folder in self.path if folder not in sys.path]
        sys.path[:0] = missing
        folder = Path(self.folder)
        variants = Variants()
        for each in self.variants:
            load = load_graph if each.node == WHOLE else load_attribute
            variants.add(each.node, each.name, load(each.reference, folder))
        graph = load_graph(self.graph, folder)
        platform = open_platform(
            self.location,
            self.output_dir,
            actor=self.actor,
            synchronous=self.synchronous,
            keep_files=self.keep_files,
            redact=None if self.redacted is None else Redaction(*self.redacted),
        )
        workflows = Workflows(platform, self.project, variants)
        runnable = workflows.prepared(graph)
        return TrialRunner(
            platform,
            lambda chosen: workflows.standing_in(runnable, chosen),
            platform.origin(cause=self.cause, trace=self.trace),
            Options(self.config or None, self.context),  # type: ignore[arg-type]  # plain data, as a RunnableConfig is
        )


class OpenBenches:
    """The benches that this process has opened for others, each once. Safe to share between threads."""

    def __init__(self) -> None:
        self._by_text: dict[str, TrialRunner] = {}
        self._lock = threading.Lock()

    def get(self, text: str) -> TrialRunner:
        """The runner of the bench that a spec's text describes. Raises as `BenchSpec.open` does."""
        with self._lock:
            if text not in self._by_text:
                self._by_text[text] = BenchSpec.from_text(text).open()
            return self._by_text[text]

    def close(self) -> None:
        for runner in self._by_text.values():
            runner.platform.close()
        self._by_text.clear()


def absolute(location: str) -> str:
    """A store's location, whatever the working folder."""
    if location.startswith(POSTGRES):
        return location
    return str(Path(location.removeprefix("sqlite:///")).expanduser().absolute())


def _chosen(combinations: Iterable[Mapping[str, str]]) -> Iterable[tuple[str, str]]:
    """Node and name of each variant in them, once."""
    return dict.fromkeys(choice for each in combinations for choice in each.items() if choice[1] != OWN)


def _check_types(runner: TrialRunner, workflow: str) -> None:
    """Raise `InvalidRequest` when states hold what goes by another name in another process, and isn't read there."""
    types = allowlist(runner.find_graph({}).source)
    own = sorted(".".join(name) for module, *name in types if module in MAINS)
    if own:
        raise InvalidRequest(
            f"states of workflow {workflow!r} hold {own[0]}, which the program's own file defines; "
            "another process knows it by another name",
            hint="Define it in a module that the program imports.",
        )


def _plain(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """What comes out of JSON as it went in. Raises `InvalidRequest` for anything else."""
    for key, value in given.items():
        if key == "configurable" and isinstance(value, Mapping):
            _plain(value, f"{what}.configurable")
        elif not _is_plain(value):
            raise InvalidRequest(
                f"{f'{what}.{key}' if what else key} can't be handed to another process: "
                "it isn't made of mappings, lists, texts, numbers, true, false and none",
                hint="Leave it out, or run the trials in this process: executor='threads' or 'asyncio'.",
            )
    return dict(given)


def _is_plain(value: object) -> bool:
    match value:
        case None | str() | bool() | int():
            return True
        case float():
            return value - value == 0  # JSON has neither infinities nor NaN
        case list():
            return all(map(_is_plain, value))
        case dict():
            return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
        case _:
            return False


def _import_path() -> Iterable[str]:
    own = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for entry in sys.path:
        folder = Path(entry).absolute()
        if folder.exists() and not any(folder.is_relative_to(each) for each in own):
            yield str(folder)
