"""What a call costs, as it is declared."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import Money, parse_money

__all__ = ["Price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one call costs, as sums of the parts that are declared."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    per_call: str | None = None
    per_million_input_tokens: str | None = None
    per_million_output_tokens: str | None = None

    def amounts(self) -> tuple[Money | None, Money | None, Money | None]:
        """(a call, a million input tokens, a million output tokens)."""
        call, read, wrote = self.per_call, self.per_million_input_tokens, self.per_million_output_tokens
        return (
            parse_money(call) if call else None,
            parse_money(read) if read else None,
            parse_money(wrote) if wrote else None,
        )

    @property
    def currency(self) -> str | None:
        return next((m.currency for m in self.amounts() if m), None)

    def problems(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for word in ("per_call", "per_million_input_tokens", "per_million_output_tokens"):
            text = getattr(self, word)
            if text is None:
                continue
            try:
                seen.add(parse_money(text).currency)
            except ValueError as error:
                yield Problem((word.replace("_", "-"),), str(error))
        if len(seen) > 1:
            yield Problem((), f"one price in several currencies: {', '.join(sorted(seen))}", "use one currency")
