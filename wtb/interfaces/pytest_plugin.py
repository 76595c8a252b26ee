"""A pytest plugin: record an agent's execution once, keep it beside the tests, replay it against today's code.

``wtb`` is a fixture and a marker. Without ``--wtb-record`` nothing is recorded, so
that CI can't pass by recording what it should have checked.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # pytest loads this in every project that has WTB, also where no test asks for it
    from langchain_core.runnables import RunnableConfig

    from wtb.sdk.regression import Answers
    from wtb.sdk.replay_report import ReplayReport
    from wtb.sdk.test_bench import TestBench

FOLDER = "__wtb__"
"""Where bundles are kept, beside the test file, unless a marker names another place."""
MODES = ("none", "once", "all")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("wtb").addoption(
        "--wtb-record",
        choices=MODES,
        default="none",
        help="Record executions with wtb.check: none (the default: replay only), once (those that have no bundle yet), "
        "all (all of them anew).",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "wtb(bundle): the file, relative to the test's, that holds the recorded execution."
    )


class Recorded:
    """The ``wtb`` fixture: one test's recorded execution."""

    def __init__(self, bundle: Path, mode: str, folder: Path) -> None:
        self.bundle = bundle
        """The file that holds it."""
        self._mode = mode
        self._folder = folder

    def check(
        self,
        graph: object,
        initial_state: Any,
        *,
        live: Sequence[str] = (),
        variants: Mapping[str, object] | None = None,
        answers: "Answers" = (),
        config: "RunnableConfig | None" = None,
        context: Any = None,
        may_fail: bool = False,
    ) -> "ReplayReport":
        """Fail the test unless today's graph still does what was recorded.

        The execution goes through today's edges and reducers; nodes are served from
        the record, so nothing is called that costs or changes anything. ``live``
        names nodes whose code of today runs on what they were given then, and must
        write the same; ``variants`` does so with other implementations. When it is
        recorded the graph runs for good, and ``answers`` are given to what it asks;
        ``may_fail`` allows a failure to be what is recorded.
        """
        from wtb.sdk import regression

        if self._mode == "all" or (self._mode == "once" and not self.bundle.exists()):
            with self._bench("recording") as bench:
                regression.record(
                    bench,
                    self.bundle,
                    graph,
                    initial_state,
                    answers=answers,
                    config=config,
                    context=context,
                    may_fail=may_fail,
                )
        if not self.bundle.exists():
            pytest.fail(
                f"nothing is recorded in {self.bundle}; record it with: pytest --wtb-record=once", pytrace=False
            )
        with self._bench("replay") as bench:
            verdict = regression.check(bench, self.bundle, graph, initial_state, live=live, variants=variants)
        if not verdict.same:
            told = "\n".join(verdict.lines())
            pytest.fail(f"the agent no longer does what {self.bundle.name} holds\n{told}", pytrace=False)
        return verdict.report

    def _bench(self, name: str) -> "TestBench":
        from wtb.sdk import TestBench, WorkflowProject

        place = Path(mkdtemp(prefix=name, dir=self._folder))
        return TestBench(
            WorkflowProject("agent", db_path=place / "wtb.db", output_dir=place / "outputs", actor="pytest")
        )


@pytest.fixture
def wtb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """This test's recorded execution; see `Recorded.check`."""
    mark = request.node.get_closest_marker("wtb")
    named = mark.args[0] if mark is not None and mark.args else None
    within = request.node.nodeid.partition("::")[2]  # with its class, which may have a sister
    own = re.sub(r"[^\w.-]+", "_", f"{request.path.stem}.{within}").strip("_")
    bundle = request.path.parent / (named or f"{FOLDER}/{own}.wtb.zip")
    return Recorded(bundle, request.config.getoption("--wtb-record"), tmp_path_factory.mktemp("wtb"))
