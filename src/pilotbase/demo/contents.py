"""What the demonstration holds, read from `contents.json`: made-up organisations, people, needs and capabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Any

import orjson

from pilotbase.domain.account import Role
from pilotbase.domain.entry import Acceptance, Capability, Certificate, Need

__all__ = ["MARK", "Person", "capabilities", "contents", "needs", "organisations", "people"]

MARK = "演示 demonstration"
"""Stands in the name of everything that is made up, so that nobody takes it for real."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A member to be; `organisation` is a key of `organisations`."""

    login: str
    name: str
    organisation: str
    roles: tuple[Role, ...]
    language: str


@cache
def contents() -> Mapping[str, Any]:
    """The whole file."""
    found: Mapping[str, Any] = orjson.loads(resources.files("pilotbase.demo").joinpath("contents.json").read_bytes())
    return found


def organisations() -> Mapping[str, str]:
    """Names by key."""
    return {one["key"]: one["name"] for one in contents()["organisations"]}


def people() -> Sequence[Person]:
    """All members, the operator first."""
    return [Person(**{**one, "roles": tuple(one["roles"])}) for one in contents()["members"]]


def needs(ids: Mapping[str, str], now: datetime) -> Mapping[str, tuple[Need, bool]]:
    """Needs by key, each with whether it is published. `ids` are the organisations' by key."""
    return {one["key"]: (_need(one, ids, now), one["published"]) for one in contents()["needs"]}


def capabilities(ids: Mapping[str, str], now: datetime) -> Mapping[str, tuple[Capability, bool]]:
    """Capabilities by key, each with whether it is published."""
    return {one["key"]: (_capability(one, ids, now), one["published"]) for one in contents()["capabilities"]}


def _need(one: Mapping[str, Any], ids: Mapping[str, str], now: datetime) -> Need:
    return Need(
        **_shared(one, ids, now),
        area=one["area"],
        risk=one["risk"],
        data=one["data"],
        budget=one["budget"],
        acceptance=tuple(Acceptance(metric=metric, require=require) for metric, require in one["acceptance"]),
    )


def _capability(one: Mapping[str, Any], ids: Mapping[str, str], now: datetime) -> Capability:
    papers = (
        Certificate(name=name, issuer=issuer, number=number, until=date.fromisoformat(until))
        for name, issuer, number, until in one["certificates"]
    )
    return Capability(
        **_shared(one, ids, now),
        application=one["application"],
        areas=tuple(one["areas"]),
        data=tuple(one["data"]),
        price=one["price"],
        certificates=tuple(papers),
    )


def _shared(one: Mapping[str, Any], ids: Mapping[str, str], now: datetime) -> dict[str, Any]:
    return {
        "id": "",
        "organisation": ids[one["organisation"]],
        "title": one["title"],
        "text": f"{one['text']}\n\n（{MARK}）",
        "field": one["field"],
        "tags": tuple(one["tags"]),
        "deployments": tuple(one["deployments"]),
        "created": now,
    }
