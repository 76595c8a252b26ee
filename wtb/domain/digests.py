"""Which values a fact names: whatever its fields say is a `Digest`, however deep.

Read off the facts' own types, so that a new fact, or a new field of an old one,
can't be forgotten.
"""

from collections.abc import Callable, Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from wtb.domain.execution import Fact
from wtb.domain.identifiers import NULL_DIGEST, Digest

Find = Callable[[Any], Iterator[Digest]]
"""Finds the digests in a value of one type."""


def digests_of(fact: Fact) -> Iterator[Digest]:
    """The digests of the values that a fact names; some may come twice. None needs no value, and has none."""
    for name, find in fields_with_digests(type(fact)):
        yield from find(getattr(fact, name))


@cache
def fields_with_digests(kind: type[Fact]) -> tuple[tuple[str, Find], ...]:
    """The fields of a fact that can name values. Raises `TypeError` for a field whose type isn't understood here."""
    found = ((name, _find(field.annotation)) for name, field in kind.model_fields.items())
    return tuple((name, find) for name, find in found if find is not None)


def _find(annotation: Any) -> Find | None:
    """How digests are found in what an annotation describes; None when there can be none."""
    if annotation is Digest:
        return _itself
    if isinstance(annotation, type) and issubclass(annotation, Fact):
        return digests_of if fields_with_digests(annotation) else None
    arguments = get_args(annotation)
    inner = {argument: find for argument in arguments if (find := _find(argument)) is not None}
    if not inner:
        return None
    match get_origin(annotation), arguments:
        case (origin, (_, _)) if origin is tuple and arguments[1] is Ellipsis:
            return _each(inner[arguments[0]])
        case (origin, _) if origin is tuple:
            return _places([(place, inner[part]) for place, part in enumerate(arguments) if part in inner])
        case (origin, (key, part)) if origin is dict and key not in inner:
            each = _each(inner[part])
            return lambda held: each(held.values())
        case (origin, (part, none)) if origin in (Union, UnionType) and none is NoneType:
            return _if_any(inner[part])
        case _:
            raise TypeError(f"digests can't be found in {annotation}: teach `wtb.domain.digests` how")


def _itself(digest: Digest) -> Iterator[Digest]:
    if digest != NULL_DIGEST:
        yield digest


def _each(find: Find) -> Find:
    return lambda held: (digest for one in held for digest in find(one))


def _places(finds: list[tuple[int, Find]]) -> Find:
    return lambda held: (digest for place, find in finds for digest in find(held[place]))


def _if_any(find: Find) -> Find:
    return lambda held: iter(()) if held is None else find(held)
