"""The combinations of variants that a batch compares."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from wtb.domain.errors import InvalidRequest
from wtb.domain.workflow import OWN, WHOLE

Combination = dict[str, str]
"""Node path to variant name; every node that is varied anywhere in the batch is named, unless another whole graph
stands in."""

Choices = Mapping[str, object]
"""Node path to what may stand in for it: the name of a variant, or an implementation."""

VariedBy = Mapping[str, object] | Sequence[Choices]
"""Nodes with all that may stand in for each (the full matrix), or the combinations themselves."""

Named = Callable[[Choices], dict[str, str]]
"""Puts names in the place of implementations; raises `InvalidVariant` or `VariantNotFound`."""


def combinations(variants: VariedBy | None, named: Named) -> tuple[Combination, ...]:
    """In the order given, the last node's choices changing first; one twice counts once.

    Without variants there is one, of the nodes' own. Raises `InvalidRequest` and
    what ``named`` raises.
    """
    if not variants:
        return ({},)
    if not isinstance(variants, Mapping | Sequence):
        raise _no_combination(variants)
    listed = _matrix(variants, named) if isinstance(variants, Mapping) else _completed(variants, named)
    return tuple(dict(each) for each in dict.fromkeys(tuple(each.items()) for each in listed))


def _matrix(variants: Mapping[str, object], named: Named) -> list[Combination]:
    names = {node: [named({node: choice})[node] for choice in _several(node, variants[node])] for node in variants}
    return [dict(zip(names, chosen, strict=True)) for chosen in product(*names.values())]


def _several(node: str, choices: object) -> Sequence[object]:
    """One choice alone stands for a list of it."""
    if isinstance(choices, str) or not isinstance(choices, Sequence):
        return [choices]
    if not choices:
        raise InvalidRequest(f"nothing is to stand in for node {node!r}", hint=f"Name {OWN!r} for its own.")
    return choices


def _completed(listed: Sequence[Choices], named: Named) -> list[Combination]:
    for each in listed:
        if not isinstance(each, Mapping):
            raise _no_combination(each)
    own = dict.fromkeys((node for each in listed for node in each), OWN)
    return [_among({**own, **named(each)}, each) for each in listed]


def _among(names: Combination, choices: Choices) -> Combination:
    """Another whole graph needn't have the nodes that others vary: of it only what was chosen is named."""
    if names.get(WHOLE, OWN) == OWN:
        return names
    return {node: name for node, name in names.items() if node in choices}


def _no_combination(given: object) -> InvalidRequest:
    return InvalidRequest(
        f"a combination must map nodes to variants, not be a {type(given).__name__}",
        hint='Give {"node": ["variant", …]} for all combinations, or [{"node": "variant"}, …] for some.',
    )
