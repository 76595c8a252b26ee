"""Cases: read from Python and from files, and checked before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from tests.sdk.given import chain, says
from wtb.domain.errors import InvalidCase, InvalidRequest
from wtb.sdk import TestBench
from wtb.sdk.batches.cases import read_cases
from wtb.sdk.batches.matrix import combinations
from wtb.sdk.batches.outcome import Case


def read(given: Any) -> list[Case]:
    return [found.case for found in read_cases(given)]


def test_states_and_what_tells_of_cases_are_cases() -> None:
    assert read(iter([{"query": "a"}, {"input": {"query": "b"}, "expected": 2}, {"id": 7, "input": 1}])) == [
        Case("1", {"query": "a"}),
        Case("2", {"query": "b"}, 2),
        Case("7", 1),
    ]


def test_lines_of_json_are_cases(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"id": "a", "input": {"query": "q"}, "metadata": {"from": "me"}}\n\n{"query": "r"}\n')
    assert read(path) == [Case("a", {"query": "q"}, metadata={"from": "me"}), Case("2", {"query": "r"})]
    assert read(str(path)) == read(path)


def test_rows_are_cases(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text('id,query,input.notes,expected,metadata.from\na,"one, two","[""x""]",007,me\n,3,,true,\n')
    assert read(path) == [
        Case("a", {"query": "one, two", "notes": ["x"]}, "007", {"from": "me"}),
        Case("2", {"query": 3}, True),
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b'{"query": 1}\nnonsense', "line 2 isn't JSON"),
        ("a.jsonl", b'{"query": "\xff"}', "isn't UTF-8"),
        ("a.csv", b"query\na,b", "line 2 has more cells"),
        ("a.txt", b"", "is no file of cases"),
        ("a.jsonl", b'{"query": "a"}\n\n{"other": 1}', "line 3.*no channel 'other'"),
        ("a.jsonl", b'{"id": "x", "input": {"query": "a"}}\n{"id": "x", "input": {"query": "b"}}', "line 2: id 'x' is"),
        ("a.jsonl", b"", "there are no cases"),
        ("a.csv", b"id,query,id\na,b,c", "more than one column 'id'"),
        ("a.csv", b"query,input.query\na,b", "more than one column 'query'"),
    ],
)
def test_a_flaw_in_a_file_is_told_with_its_line(
    quick_bench: TestBench, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    before = quick_bench.platform.store.last_position()
    with pytest.raises(InvalidCase, match=told):
        quick_bench.batch(chain(a=says("a")), path)
    assert quick_bench.platform.store.last_position() == before


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidCase, match="can't be read"):
        read_cases(tmp_path / "none.jsonl")


def test_what_can_not_be_stored_is_told_of_its_case(quick_bench: TestBench) -> None:
    for flaw in (Case("odd", {"query": object()}), Case("odd", {"query": "q"}, metadata={"it": object()})):
        with pytest.raises(InvalidCase, match="case 'odd'"):
            quick_bench.batch(chain(a=says("a")), [flaw])
    assert quick_bench.platform.store.last_position() == 0


def named(choices: Any) -> dict[str, str]:
    return {node: choice if isinstance(choice, str) else choice.__name__ for node, choice in choices.items()}


def test_a_mapping_means_every_combination_in_the_order_given() -> None:
    assert combinations({"a": ["default", "x"], "b": ["y", "z", "y"]}, named) == (
        {"a": "default", "b": "y"},
        {"a": "default", "b": "z"},
        {"a": "x", "b": "y"},
        {"a": "x", "b": "z"},
    )
    assert combinations({"a": "x"}, named) == ({"a": "x"},)
    assert combinations(None, named) == ({},)


def test_a_sequence_means_these_combinations_and_names_every_varied_node() -> None:
    assert combinations([{"a": "x"}, {"b": "y"}, {"a": "x", "b": "default"}], named) == (
        {"a": "x", "b": "default"},
        {"a": "default", "b": "y"},
    )


@pytest.mark.parametrize("flaw", [{"a": []}, ["a"]])
def test_what_is_no_combination_is_refused(flaw: Any) -> None:
    with pytest.raises(InvalidRequest):
        combinations(flaw, named)
