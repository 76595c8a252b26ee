"""Subjects: each stream has one, and none can be mistaken for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wtb.domain.identifiers import execution_stream
from wtb.infra.nats.stream import subject_of


@pytest.mark.parametrize(
    ("execution", "subject"),
    [
        ("abc-1_2", "wtb.events.execution.abc-1_2"),
        ("a.b", "wtb.events.execution.a%2Eb"),
        ("*", "wtb.events.execution.%2A"),
        (">", "wtb.events.execution.%3E"),
        ("two words\n", "wtb.events.execution.two%20words%0A"),
        ("é", "wtb.events.execution.%C3%A9"),
        ("", "wtb.events.execution.%"),
    ],
)
def test_an_id_becomes_one_token(execution: str, subject: str) -> None:
    assert subject_of(execution_stream(execution)) == subject


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(TEXT, TEXT)
def test_every_subject_is_legal_and_its_own(one: str, other: str) -> None:
    subjects = [subject_of(execution_stream(execution)) for execution in (one, other)]
    for subject in subjects:
        tokens = subject.split(".")
        assert len(tokens) == 4
        assert all(token and token.isascii() and token.isprintable() for token in tokens)
        assert not set(subject) & set("*> ")
        assert len(subject) < 300
    assert (subjects[0] == subjects[1]) == (one == other)
