"""What identifiers promise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtb.domain.identifiers import execution_of, execution_stream, node_path


@given(st.text())
def test_a_stream_leads_back_to_its_execution(execution: str) -> None:
    """Also when the execution's id looks like a stream's name itself."""
    assert execution_of(execution_stream(execution)) == execution
    assert str(execution_of(execution_stream("execution-" + execution))) == "execution-" + execution


@given(st.text(), st.text())
def test_two_executions_never_share_a_stream(one: str, other: str) -> None:
    assert (execution_stream(one) == execution_stream(other)) == (one == other)


def test_a_node_is_named_with_the_graphs_it_is_nested_in() -> None:
    assert node_path("", "draft") == "draft"
    assert node_path("sub:6f2a", "draft") == "sub/draft"
    assert node_path("outer:6f2a|inner:9c01", "draft") == "outer/inner/draft"


@pytest.mark.parametrize("namespace", ["sub:6f2a", "sub:9c01", "sub:6f2a|1", "sub:6f2a|12"])
def test_a_node_has_one_path_whichever_task_ran_its_graph_and_how_often(namespace: str) -> None:
    assert node_path(namespace, "draft") == "sub/draft"
    assert node_path(f"{namespace}|inner:77aa", "draft") == "sub/inner/draft"


def test_a_node_may_be_named_by_a_number() -> None:
    assert node_path("1:6f2a", "2") == "1/2"
