"""Whether objects have changed since, found without serialising them again."""

from itertools import chain
from operator import attrgetter, is_
from typing import Any

from pydantic import BaseModel

IMMUTABLE = (str, bytes, int, float, bool, type(None), complex)

_parts = attrgetter("__dict__", "__pydantic_extra__")


class Snapshot:
    """What some objects hold, at every depth, remembered by identity.

    Whatever is changed in place shows, as another object or another number of
    them in some dict, list or model. A comparison is a few passes over all
    containers that never leave C: a conversation's whole past is compared at
    each of its steps.
    """

    __slots__ = ("_dicts", "_items", "_keys", "_lists", "_models", "_parts", "_sizes", "_values")

    def __init__(self) -> None:
        self._models: list[BaseModel] = []
        self._parts: list[Any] = []
        self._dicts: list[dict[Any, Any]] = []
        self._lists: list[list[Any]] = []
        # What the containers hold, one after the other; the sizes tell where one ends.
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._items: list[Any] = []
        self._sizes: tuple[list[int], list[int]] = ([], [])

    def add(self, value: object) -> bool:
        """Remember what an object holds; False when some of it can't be watched."""
        if isinstance(value, IMMUTABLE):
            return True
        if type(value) is dict:
            self._dicts.append(value)
            self._sizes[0].append(len(value))
            self._keys.extend(value)
            self._values.extend(value.values())
            return all(isinstance(key, IMMUTABLE) for key in value) and all(map(self.add, value.values()))
        if type(value) is list:
            self._lists.append(value)
            self._sizes[1].append(len(value))
            self._items.extend(value)
            return all(map(self.add, value))
        if isinstance(value, BaseModel):
            parts = _parts(value)
            self._models.append(value)
            self._parts.extend(parts)
            return all(map(self.add, parts))
        return False

    def unchanged(self) -> bool:
        """Whether every object added still holds exactly what it held."""
        flat = chain.from_iterable
        return (
            all(map(is_, self._parts, flat(map(_parts, self._models))))
            and self._sizes == ([*map(len, self._dicts)], [*map(len, self._lists)])
            and all(map(is_, self._keys, flat(self._dicts)))
            and all(map(is_, self._values, flat(map(dict.values, self._dicts))))
            and all(map(is_, self._items, flat(self._lists)))
        )
