"""Whatever a file says, reading it gives a pilot or InvalidInput with places inside the file, and never a traceback."""

import json
import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.errors import InvalidInput
from pilotbase.spec.load import load_text
from pilotbase.spec.yaml import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the one way to reach a candidate here."""

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    call: str
    batch: int = 1
    params: dict[str, Any] = field(default_factory=dict)

    def problems(self) -> Iterator[Problem]:
        if self.batch < 1:
            yield Problem(("batch",), "too few")


class Kind:
    name = "code"
    options = Options


VALID: dict[str, Any] = {
    "pilot": "triage",
    "title": {"en": "Triage", "zh": "分诊"},
    "scenario": {"area": "livelihood", "need": "Rank.", "owner": "Hospital", "risk": "medium", "field": "medical"},
    "seed": 7,
    "confidence": 0.97,
    "data": {"test": {"path": "t.csv", "id": "id", "inputs": ["a", "b"], "target": "y", "positive": "bad", "groups": ["site"]}},
    "candidates": [
        {"id": "rule", "target": {"code": "m:f", "batch": 8}, "price": {"per-call": "1 CNY"}},
        {"id": "chat", "target": {"code": {"call": "m:g", "params": {"t": 0}}}, "messages": [{"role": "user", "content": "{a}"}]},
    ],
    "gates": [
        {"use": "binary-basics@1"},
        {
            "gate": "capability",
            "checks": [
                {"metric": "accuracy", "require": ">= 0.9", "bound": [0, 1], "confidence": 0.9},
                {"metric": "accuracy", "require": "<= 0.1", "drop-under": {"transform": "noise", "scale": 0.1}},
                {"metric": "latency", "require": "<= 1 s", "load": {"rate": "5/s", "for": "5s"}, "role": "inform"},
            ],
        },
    ],
    "limits": {"calls": 200, "spend": "10 CNY", "time": "10m"},
}

odd = st.sampled_from(
    [None, True, 0, -1, 7.5, 1e300, "", "yes", ">= 1", "1 CNY", "@", "中", [], {}, [1], ["a"], [[]], {"a": 1}, [{}]]
)


def attempt(text: str | bytes) -> None:
    """Read, and hold what every refusal must hold."""
    try:
        load_text(text, Path("p.yaml"), kinds=lambda _: Kind(), known=("code",))
    except InvalidInput as refused:
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        lines = re.split(r"\r\n|\n|\r", raw.decode("utf-8", "replace").removeprefix("\ufeff"))
        assert refused.problems
        for problem in refused.problems:
            place = re.match(r"(.*?):(\d+):(\d+): \S", problem)
            if place is None:
                assert problem.startswith("... and ")
                continue
            if place[1] == "p.yaml":
                assert 1 <= int(place[2]) <= len(lines)
                assert 1 <= int(place[3]) <= len(lines[int(place[2]) - 1]) + 1
            assert "\n" not in problem


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path of the data but the top."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = tuple(places(VALID))


def holder_of(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path[:-1]:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    try:
        data[path[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    return data if isinstance(data, (dict, list)) else None


def mutate(data: Any, path: tuple[Any, ...], how: str, value: Any) -> None:
    holder = holder_of(data, path)
    if holder is None:
        return
    if how == "delete":
        del holder[path[-1]]
    elif how == "rename" and isinstance(holder, dict):
        holder[f"{path[-1]}x"] = holder.pop(path[-1])
    elif how == "repeat" and isinstance(holder, list):
        holder.append(deepcopy(holder[path[-1]]))
    else:
        holder[path[-1]] = deepcopy(value)


mutations = st.lists(
    st.tuples(st.sampled_from(PLACES), st.sampled_from(["delete", "rename", "repeat", "replace"]), odd), max_size=6
)


def test_the_file_that_is_mutated_is_valid() -> None:
    assert load_text(json.dumps(VALID), Path("p.yaml"), kinds=lambda _: Kind(), known=("code",)).packs


@settings(max_examples=250, deadline=None)
@given(mutations)
def test_mutated_declarations_are_refused_with_places_inside_the_file(changes: list[tuple[Any, str, Any]]) -> None:
    data = deepcopy(VALID)
    for path, how, value in changes:
        mutate(data, path, how, value)
    attempt(json.dumps(data, indent=1, ensure_ascii=False))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PLACES), odd)
def test_a_value_of_another_type_is_refused_at_its_own_line(path: tuple[Any, ...], value: Any) -> None:
    data = deepcopy(VALID)
    mutate(data, path, "replace", value)
    text = json.dumps(data, indent=1)
    document = read(text.encode(), "p.yaml")
    assert document.faults == ()
    assert document.data == data
    attempt(text)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([p for p in PLACES if isinstance(p[-1], str)]))
def test_a_key_written_twice_is_always_named(path: tuple[Any, ...]) -> None:
    text = json.dumps(VALID, indent=1)
    mark = read(text.encode(), "p.yaml").keys[path]
    lines = text.split("\n")
    key = json.dumps(path[-1])
    lines[mark.line - 1] = lines[mark.line - 1].replace(key, f"{key}: 1, {key}", 1)
    with pytest.raises(InvalidInput) as refused:
        load_text("\n".join(lines), Path("p.yaml"), kinds=lambda _: Kind(), known=("code",))
    assert any("is written twice" in line and line.startswith(f"p.yaml:{mark.line}:") for line in refused.value.problems)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.text(st.sampled_from("{}[],:-?!&*|>'\"%@`# \n\t\\ab1.~<=\u4e2d\x00\ufeff\u2028"), max_size=60))
def test_fuzzed_text_gives_no_traceback(text: str) -> None:
    assume(text)
    attempt(text)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_fuzzed_bytes_give_no_traceback(raw: bytes) -> None:
    attempt(raw)


def test_a_valid_file_with_changed_characters_gives_no_traceback(size: Callable[[int, int], int]) -> None:
    draw = random.Random(11)
    valid = json.dumps(VALID, indent=1, ensure_ascii=False)
    for _ in range(size(150, 3000)):
        letters = list(valid)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(letters))
            letters[at] = draw.choice(
                ["", "{", "}", "[", "]", ",", ":", '"', "'", "\n", "\t", "&a ", "*a", "!", "|", "#", "\\", "-"]
            )
        attempt("".join(letters))
