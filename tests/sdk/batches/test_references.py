"""Objects by names that another process finds them by."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.sdk.batches import elsewhere
from tests.sdk.batches.elsewhere import obedient, other
from wtb.domain.errors import InvalidRequest
from wtb.infra.langgraph.loader import load_attribute, load_graph
from wtb.sdk.batches.workers.references import reference_of

short = lambda state: {"notes": ["short"]}  # noqa: E731


def test_text_is_the_name_already() -> None:
    assert reference_of("app.graphs:support", "the graph") == "app.graphs:support"


@pytest.mark.parametrize("thing", [other, obedient, elsewhere.awaits], ids=["function", "graph", "coroutine function"])
def test_what_a_module_has_is_called_after_it(thing: object) -> None:
    reference = reference_of(thing, "it")
    assert reference.startswith("tests.sdk.batches.")
    assert load_attribute(reference, Path.cwd()) is thing


def test_a_function_is_called_after_its_own_module_wherever_it_was_imported() -> None:
    assert reference_of(other, "it") == "tests.sdk.batches.elsewhere:other"


def test_a_lambda_of_a_module_has_a_name() -> None:
    assert reference_of(short, "it") == f"{__name__}:short"


def test_a_module_that_no_import_would_find_is_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "away.py"
    file.write_text("def node(state): return {}\n")
    spec = importlib.util.spec_from_file_location("away_from_here", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["away_from_here"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        assert reference_of(module.node, "it") == f"{file}:node"
    finally:
        del sys.modules["away_from_here"]


def test_a_module_that_hides_another_of_its_name_is_named_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "json.py"
    file.write_text("def node(state): return {}\n")
    spec = importlib.util.spec_from_file_location("json.tool", file)
    assert spec is not None
    assert spec.loader is not None
    kept = sys.modules.get("json.tool")
    module = sys.modules["json.tool"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        assert reference_of(module.node, "it") == f"{file}:node"
    finally:
        del sys.modules["json.tool"]
        if kept is not None:
            sys.modules["json.tool"] = kept


def test_a_graph_that_a_function_made_is_named_by_the_function_it_was_loaded_by(tmp_path: Path) -> None:
    (tmp_path / "makes.py").write_text(
        "from tests.sdk.given import chain\ndef graph(): return chain(node=lambda s: {})\n"
    )
    made = load_graph("./makes.py:graph", tmp_path)
    assert reference_of(made, "it") == f"{tmp_path / 'makes.py'}:graph"


def test_what_a_function_made_has_no_name_and_the_refusal_says_what_to_do() -> None:
    def inner(state: object) -> object:
        return state

    with pytest.raises(InvalidRequest, match="can't find variant 'x' of node 'n'") as refused:
        reference_of(inner, "variant 'x' of node 'n'")
    assert refused.value.hint == "Define it at the top level of a module, or name it as module:attribute."
