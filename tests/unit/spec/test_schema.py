"""The JSON Schema of pilot.yaml agrees with what is read."""

import dataclasses
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from pilotbase.domain.gate import Check, Gate, Load, PackUse
from pilotbase.domain.pilot import Candidate, Pilot, TestData
from pilotbase.domain.problem import kebab
from pilotbase.domain.scenario import Scenario
from pilotbase.errors import InvalidInput
from pilotbase.spec.load import Loaded
from pilotbase.spec.schema import json_schema


@pytest.fixture
def schema(kinds: Callable[[str], Any]) -> dict[str, Any]:
    return json_schema(kinds=kinds, known=("code", "web"))


def fits(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """As much of JSON Schema as this schema uses; an unknown keyword fails."""
    rules: dict[str, Callable[[Any], bool]] = {
        "$ref": lambda s: fits(value, definitions[s.removeprefix("#/$defs/")], definitions),
        "anyOf": lambda s: any(fits(value, x, definitions) for x in s),
        "oneOf": lambda s: sum(fits(value, x, definitions) for x in s) == 1,
        "type": lambda s: is_a(value, s),
        "enum": lambda s: value in s,
        "items": lambda s: all(fits(v, s, definitions) for v in value),
        "prefixItems": lambda s: all(fits(v, x, definitions) for v, x in zip(value, s, strict=False)),
        "minItems": lambda s: len(value) >= s,
        "maxItems": lambda s: len(value) <= s,
        "required": lambda s: set(s) <= set(value),
        "properties": lambda s: all(fits(v, s[k], definitions) for k, v in value.items() if k in s),
        "additionalProperties": lambda s: s is True or set(value) <= set(schema.get("properties", ())),
        **{word: lambda _: True for word in ("description", "default", "title", "$schema", "$id", "$defs")},
    }
    return is_a(value, schema.get("type")) and all(rules[word](content) for word, content in schema.items())


def is_a(value: Any, name: str | None) -> bool:
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else (int, float)) and not isinstance(value, bool)
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return name is None or isinstance(value, types[name])


def test_the_schema_names_its_dialect_and_itself(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == "urn:pilotbase:pilot:1"
    assert schema["required"] == ["pilot", "scenario", "data", "candidates", "gates"]
    json.dumps(schema)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    references = set(re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema)))
    assert references <= set(schema["$defs"])


@pytest.mark.parametrize("kind", [Pilot, Scenario, TestData, Candidate, Gate, Check, Load, PackUse])
def test_the_words_of_each_part_are_those_of_its_dataclass_and_no_others(kind: type, schema: dict[str, Any]) -> None:
    part = schema if kind is Pilot else schema["$defs"][kind.__name__]
    assert set(part["properties"]) == {kebab(f.name) for f in dataclasses.fields(kind)}
    assert part["additionalProperties"] is False
    assert part["description"]


def test_a_valid_file_fits_and_so_does_its_document(schema: dict[str, Any], base: str, load: Callable[..., Loaded]) -> None:
    loaded = load(base)
    assert fits(loaded.document, schema, schema["$defs"])


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        ({"code": "m:f"}, True),
        ({"code": "m:f", "batch": 4}, True),
        ({"code": {"call": "m:f", "batch": 4}}, True),
        ({"web": {"url": "http://x", "model": "m", "params": {"temperature": 0}}}, True),
        ({"web": "http://x", "model": "m"}, True),
        ({"web": "http://x"}, False),
        ({"code": {"call": "m:f"}, "batch": 4}, False),
        ({"code": "m:f", "web": {}}, False),
        ({"cod": "m:f"}, False),
        ({}, False),
        ("m:f", False),
        ({"code": {"call": 5}}, False),
    ],
)
def test_a_target_is_an_object_of_exactly_one_kind(
    target: Any, allowed: bool, schema: dict[str, Any], base: str, load: Callable[..., Loaded]
) -> None:
    text = base.replace('{code: "models:rule", batch: 8}', json.dumps(target))
    assert fits(target, schema["$defs"]["TargetSpec"], schema["$defs"]) is allowed
    try:
        load(text)
    except InvalidInput as error:
        assert not allowed, error
    else:
        assert allowed


@pytest.mark.parametrize(
    "part", [{"area": "nowhere"}, {"need": 5}, {"need": {"fr": "x"}}, {"ownr": "x"}, {"risk": None}, {"owner": ["x"]}]
)
def test_a_wrong_scenario_does_not_fit(
    part: dict[str, Any], schema: dict[str, Any], base: str, load: Callable[..., Loaded]
) -> None:
    document = load(base).document
    assert not fits({**document, "scenario": {**document["scenario"], **part}}, schema, schema["$defs"])


def test_no_title_says_what_its_word_says_already(schema: dict[str, Any]) -> None:
    assert '"title": "Gap' not in json.dumps(schema)
    assert "title" in schema["properties"]
