"""A valid pilot file, and ways to reach candidates that are declared here, so that these tests need no real target."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pilotbase.domain.pilot import Pilot
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.errors import InvalidInput, UserError
from pilotbase.spec.load import Loaded, load_text

BASE = """\
pilot: triage
title: {en: Triage, zh: 分诊}
scenario:
  area: livelihood
  need: Rank aspirates.
  owner: District hospital
  risk: medium
seed: 7
data:
  test: {path: test.csv, id: id, inputs: [a, b], target: y, positive: bad, groups: [site]}
candidates:
  - id: rule
    target: {code: "models:rule", batch: 8}
    price: {per-call: 0.01 CNY}
  - id: chat
    target: {web: {url: "http://127.0.0.1/v1", model: m}}
    prompt: "{a} {b}"
gates:
  - gate: capability
    checks:
      - {metric: accuracy, require: ">= 0.9"}
      - {metric: accuracy, gap-by: site, require: "<= 0.1"}
limits: {calls: 200, spend: 10 CNY, time: 10m}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Runs code."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    call: str
    batch: int | None = None

    def problems(self) -> Iterator[Problem]:
        if ":" not in self.call:
            yield Problem(("call",), f"`{self.call}` names no callable", "write module:callable")
        if self.batch is not None and self.batch < 1:
            yield Problem(("batch",), f"{self.batch} is too few")


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Asks an address."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    url: str
    model: str
    params: Mapping[str, Any] = field(default_factory=dict)


class Kind:
    """As much of a TargetKind as reading a file needs."""

    def __init__(self, name: str, options: type) -> None:
        self.name = name
        self.options = options


KINDS = {"code": Kind("code", Code), "web": Kind("web", Web)}


def kind_of(name: str) -> Any:
    if name == "heavy":
        raise UserError(
            "the target `heavy` needs the package `tons`, which is not installed", hint="install it with: pip install tons"
        )
    return KINDS[name]


@pytest.fixture(scope="session")
def base() -> str:
    """The text of a valid pilot file."""
    return BASE


@pytest.fixture(scope="session")
def kinds() -> Callable[[str], Any]:
    """The kinds above, by name; `heavy` lacks its library."""
    return kind_of


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Loaded]:
    """Read a text as `tmp_path/pilot.yaml` with the kinds above."""

    def call(text: str | bytes, metric_problems: Callable[[Pilot], Iterable[Problem]] = lambda _: ()) -> Loaded:
        path = tmp_path / "pilot.yaml"
        return load_text(text, path, kinds=kind_of, known=("code", "heavy", "web"), metric_problems=metric_problems)

    return call


@pytest.fixture
def problems(load: Callable[..., Loaded], tmp_path: Path) -> Callable[..., list[str]]:
    """The lines that a wrong text is refused with, without the folder's name."""

    def call(text: str | bytes, **options: Any) -> list[str]:
        with pytest.raises(InvalidInput) as refused:
            load(text, **options)
        return [line.replace(f"{tmp_path}/", "") for line in refused.value.problems]

    return call
