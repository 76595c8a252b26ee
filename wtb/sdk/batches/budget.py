"""What a batch has used up of what it may use."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wtb.domain.batch import Budget, Price, Usage
from wtb.domain.errors import InvalidRequest


@dataclass(slots=True)
class Spending:
    """Adds up what trials used; a model without a price costs what it can't be told: see `check_budget`."""

    budget: Budget | None
    prices: Mapping[str, Price]
    tokens: int = 0
    cost: float = 0.0
    unpriced: str | None = None
    """A model that was used and has no price."""

    def add(self, used: Iterable[Usage]) -> None:
        for each in used:
            self.tokens += each.tokens
            price = self.prices.get(each.model)
            if price is None:
                self.unpriced = self.unpriced or each.model
            else:
                self.cost += price.of(each)

    def used_up(self, seconds: float) -> str:
        """What of the budget is used up, for people; empty when nothing is.

        Where there is a limit to the cost, a model without a price ends it: what it
        costs can't be told.
        """
        budget = self.budget
        if budget is None:
            return ""
        if budget.seconds is not None and seconds >= budget.seconds:
            return f"{seconds:.1f} of {budget.seconds:g} seconds"
        if budget.tokens is not None and self.tokens >= budget.tokens:
            return f"{self.tokens} of {budget.tokens} tokens"
        if budget.cost is not None and self.unpriced is not None:
            return f"model {self.unpriced!r} has no price, so the cost can't be told"
        if budget.cost is not None and self.cost >= budget.cost:
            return f"a cost of {self.cost:.4g} of {budget.cost:g}"
        return ""


def check_budget(budget: Budget | None, prices: Mapping[str, Price]) -> None:
    """Raise `InvalidRequest` for a budget that can't be kept, or prices that can't be told."""
    check_prices(prices)
    if budget is None:
        return
    if not isinstance(budget, Budget):
        raise InvalidRequest(f"{budget!r} is no budget", hint="Give Budget(seconds=…, tokens=…, cost=…).")
    for name, most in (("seconds", budget.seconds), ("tokens", budget.tokens), ("cost", budget.cost)):
        if most is not None and not most > 0:
            raise InvalidRequest(f"a budget of {most} {name} allows nothing", hint="Give more, or leave it out.")
    if budget.cost is not None and not prices:
        raise InvalidRequest(
            "a budget's cost needs the models' prices", hint='Give prices={"model": Price(input=…, output=…)}.'
        )


def check_prices(prices: Mapping[str, Price]) -> None:
    """Raise `InvalidRequest` for what is no price: the record can't hold NaN and infinity."""
    hint = 'Give {"model": Price(input=…, output=…)}, for a million tokens, each 0 or more.'
    if not isinstance(prices, Mapping):
        raise InvalidRequest(f"{prices!r} has no prices by model", hint=hint)
    for model, price in prices.items():
        if not _is_price(price):
            raise InvalidRequest(f"the price of model {model!r} can't be {price!r}", hint=hint)


def _is_price(price: object) -> bool:
    return isinstance(price, Price) and all(0 <= each < math.inf for each in (price.input, price.output))
