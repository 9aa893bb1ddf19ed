"""What a request reserves and what it costs: facts in, amounts out.

The rules, in words, are in docs/gateway.md ("What is charged"); each has a test by name.
"""

from dataclasses import dataclass

from pilotbase.domain.metering import Fare, Source, Tokens

__all__ = ["Bill", "Estimate", "bill", "estimate", "prompt_only"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is reserved before a request is sent on: tokens in all, of those the prompt's, and nanos."""

    tokens: int
    read: int
    nanos: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What a request is charged, and where the figure comes from."""

    tokens: Tokens
    source: Source
    cost: int


def estimate(fare: Fare, read: int, wrote: int) -> Estimate:
    """The reservation for a prompt of about `read` tokens and an answer of at most `wrote`."""
    return Estimate(tokens=read + wrote, read=read, nanos=fare.cost(Tokens(read=read, wrote=wrote)))


def bill(fare: Fare, tokens: Tokens, source: Source) -> Bill:
    """The charge for `tokens`: the upstream's own count, taken as it is, zero included, or what came, estimated.

    What nobody counted because nothing came (`none`) costs nothing, a price per call neither.
    """
    return Bill(tokens, source, 0 if source == "none" else fare.cost(tokens))


def prompt_only(fare: Fare, read: int) -> Bill:
    """The charge for a request that an upstream had when its client left: its prompt, estimated."""
    return bill(fare, Tokens(read=read), "estimate")
