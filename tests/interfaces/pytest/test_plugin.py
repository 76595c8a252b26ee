"""`wtb.check` in other people's test suites: recorded once, replayed ever after, failing with what differs."""

import zipfile

import pytest

# Loaded here: pytest's own tests forget what a suite in this process imports, and compiled code can't be loaded twice.
import wtb.sdk.regression  # noqa: F401

AGENT = '''
from operator import add
from typing import Annotated, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import START, StateGraph, add_messages
from langgraph.types import interrupt


class State(TypedDict, total=False):
    query: str
    notes: Annotated[list[str], add]
    messages: Annotated[list[AnyMessage], add_messages]


def route(state):
    return {"notes": [f"route {state['query']}"]}


def model(state):
    """What costs money, and answers otherwise each time."""
    with open("called.txt", "a") as calls:
        calls.write("model\\n")
    with open("called.txt") as calls:
        return {"messages": [AIMessage(f"answer {len(calls.readlines())}")]}


def ask(state):
    return {"notes": [interrupt("send it?")]}


def make(**instead):
    graph = StateGraph(instead.pop("schema", State))
    before = START
    for node in (route, model, ask):
        name = node.__name__
        graph.add_node(name, instead.get(name, node))
        graph.add_edge(before, name)
        before = name
    return graph.compile()


graph = make()
'''

TEST = """
from agent import graph, make, State

def test_agent(wtb):
    report = wtb.check(graph, {"query": "refund"}, answers=["yes"])
    assert report.nodes_called == 0
    assert report.state["notes"] == ["route refund", "yes"]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A stranger's project."""
    pytester.makepyfile(agent=AGENT)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:asyncio -p no:cov -p no:xdist -p no:timeout\n")
    monkeypatch.syspath_prepend(pytester.path)
    return pytester


def calls(suite: pytest.Pytester) -> int:
    made = suite.path / "called.txt"
    return len(made.read_text().splitlines()) if made.exists() else 0


def changed(suite: pytest.Pytester, test: str) -> str:
    """What pytest prints for a test that replays with something changed."""
    suite.makepyfile(test_agent=f"from agent import *\n\ndef test_agent(wtb):\n    {test}\n")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    return result.stdout.str()


@pytest.fixture
def recorded(suite: pytest.Pytester) -> pytest.Pytester:
    suite.makepyfile(test_agent=TEST)
    suite.runpytest_inprocess("--wtb-record=once").assert_outcomes(passed=1)
    assert calls(suite) == 1
    return suite


def test_without_a_recording_a_test_fails_and_says_what_to_do(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_agent=TEST)
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*nothing is recorded in *test_agent.test_agent.wtb.zip*--wtb-record=once*"])
    assert calls(suite) == 0


def test_what_was_recorded_once_is_replayed_and_calls_nothing(recorded: pytest.Pytester) -> None:
    bundle = recorded.path / "__wtb__" / "test_agent.test_agent.wtb.zip"
    before = bundle.read_bytes()
    for words in ((), ("--wtb-record=once",)):
        recorded.runpytest_inprocess(*words).assert_outcomes(passed=1)
    assert (calls(recorded), bundle.read_bytes()) == (1, before)
    recorded.runpytest_inprocess("--wtb-record=all").assert_outcomes(passed=1)
    assert calls(recorded) == 2
    assert bundle.read_bytes() != before


def test_a_marker_names_another_place(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_agent="import pytest\n" + TEST.replace("def test", "@pytest.mark.wtb('kept/one.zip')\ndef test")
    )
    suite.runpytest_inprocess("--wtb-record=once", "--strict-markers").assert_outcomes(passed=1)
    assert (suite.path / "kept" / "one.zip").exists()


def test_a_changed_edge_fails_with_the_node_it_leads_to(recorded: pytest.Pytester) -> None:
    told = changed(
        recorded,
        "builder = make().builder; builder.edges.discard(('model', 'ask')); builder.edges.add(('route', 'ask'));"
        " wtb.check(builder.compile(), {'query': 'refund'})",
    )
    assert "the agent no longer does what test_agent.test_agent.wtb.zip holds" in told
    assert "'ask'" in told


def test_a_changed_reducer_fails_with_the_channel_and_both_values(recorded: pytest.Pytester) -> None:
    told = changed(
        recorded,
        "class Other(State, total=False):\n        notes: Annotated[list[str], lambda a, b: [*b, *a]]\n"
        "    wtb.check(make(schema=Other), {'query': 'refund'})",
    )
    assert "notes" in told
    assert "yes" in told


def test_a_live_node_that_still_writes_the_same_passes(recorded: pytest.Pytester) -> None:
    recorded.makepyfile(test_agent=TEST.replace("answers", "live=['route'], answers").replace("== 0", "== 1"))
    recorded.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_live_node_that_writes_otherwise_fails_with_the_difference(recorded: pytest.Pytester) -> None:
    told = changed(
        recorded,
        "wtb.check(make(route=lambda state: {'notes': ['lost ' + state['query']]}), {'query': 'refund'},"
        " live=['route'])",
    )
    assert "node 'route' (step 1) wrote otherwise than recorded" in told
    assert "route refund" in told
    assert "lost refund" in told
    assert calls(recorded) == 1


def test_another_input_is_told_before_anything_else(recorded: pytest.Pytester) -> None:
    told = changed(recorded, "wtb.check(graph, {'query': 'complaint'})")
    assert "the input isn't the one that was recorded" in told
    assert "refund" in told
    assert "complaint" in told


def test_a_tampered_bundle_fails(recorded: pytest.Pytester) -> None:
    bundle = recorded.path / "__wtb__" / "test_agent.test_agent.wtb.zip"
    with zipfile.ZipFile(bundle) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    with zipfile.ZipFile(bundle, "w") as made:
        for name, data in members.items():
            made.writestr(name, data.replace(b"route", b"Route"))
    result = recorded.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    assert "InvalidBundle" in result.stdout.str()


def test_a_failure_is_recorded_only_where_it_is_meant(suite: pytest.Pytester) -> None:
    check = "from agent import *\n\ndef test_agent(wtb):\n    wtb.check(make(model=lambda state: 1 / 0), {'query': 'q'}"
    suite.makepyfile(test_agent=f"{check})\n")
    suite.runpytest_inprocess("--wtb-record=once").assert_outcomes(failed=1)
    assert not (suite.path / "__wtb__").exists()
    meant = check.replace("wtb.check", "report = wtb.check")
    suite.makepyfile(test_agent=f"{meant}, may_fail=True)\n    assert report.error.type == 'ZeroDivisionError'\n")
    suite.runpytest_inprocess("--wtb-record=once").assert_outcomes(passed=1)
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_an_agent_that_asks_more_than_is_answered_is_not_recorded(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_agent=TEST.replace(', answers=["yes"]', ""))
    result = suite.runpytest_inprocess("--wtb-record=once")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the agent asks 'send it?', and no answer is left*"])
    assert not (suite.path / "__wtb__").exists()


def test_the_plugin_brings_nothing_with_it_where_no_test_asks(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_other="import sys\n\ndef test_other():\n    assert not {'langgraph', 'sqlalchemy'} & set(sys.modules)\n"
    )
    suite.runpytest_subprocess("test_other.py").assert_outcomes(passed=1)


def test_tests_of_one_name_in_two_classes_have_bundles_of_their_own(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_agent="from agent import *\n"
        + "".join(
            f"\nclass Test{name}:\n    def test_x(self, wtb):\n"
            f"        wtb.check(graph, {{'query': '{name}'}}, answers=['yes'])\n"
            for name in "AB"
        )
    )
    suite.runpytest_inprocess("--wtb-record=once").assert_outcomes(passed=2)
    suite.runpytest_inprocess().assert_outcomes(passed=2)
    assert calls(suite) == 2
    assert len([*(suite.path / "__wtb__").iterdir()]) == 2


def test_a_test_may_check_more_than_once(recorded: pytest.Pytester) -> None:
    again = "    wtb.check(graph, {'query': 'refund'}, live=['route'])\n"
    recorded.makepyfile(test_agent=TEST + again)
    recorded.runpytest_inprocess().assert_outcomes(passed=1)
