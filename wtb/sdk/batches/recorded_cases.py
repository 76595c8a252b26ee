"""A batch's cases as they are recorded: their inputs are read when they are asked for."""

from collections.abc import Sequence
from typing import overload

from wtb.domain import batch
from wtb.domain.errors import NotFound
from wtb.domain.identifiers import NULL_DIGEST
from wtb.sdk.batches.outcome import Case
from wtb.sdk.platform import Platform


class RecordedCases(Sequence[Case]):
    """The cases in their order, each read from the store anew when it is asked for; none is kept.

    Reading one raises `ValueMissing` when its values were erased.
    """

    def __init__(self, platform: Platform, facts: Sequence[batch.Case]) -> None:
        self._platform = platform
        self._facts = tuple(facts)
        self.ids = tuple(fact.id for fact in facts)
        """Their ids, without reading any."""
        self._places = {id: place for place, id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self._facts)

    @overload
    def __getitem__(self, place: int) -> Case: ...
    @overload
    def __getitem__(self, place: slice) -> "RecordedCases": ...
    def __getitem__(self, place: int | slice) -> "Case | RecordedCases":
        if isinstance(place, slice):
            return RecordedCases(self._platform, self._facts[place])
        fact = self._facts[place]
        expected = fact.expected or NULL_DIGEST
        values = self._platform.saver.history.load({fact.input, expected})
        return Case(fact.id, values[fact.input], values[expected], fact.metadata, fact.source)

    def named(self, id: str) -> Case:
        """The case with an id. Raises `NotFound`."""
        if id not in self._places:
            raise NotFound(f"the batch has no case {id!r}", hint="`wtb batch trials ID` shows the cases.")
        return self[self._places[id]]

    def __repr__(self) -> str:
        return f"<{len(self)} cases>"
