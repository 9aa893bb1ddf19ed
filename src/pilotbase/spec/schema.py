"""JSON Schemas of pilot.yaml and of a release plan, from the types that read them, for editors that check as one writes."""

from collections.abc import Sequence
from typing import Any

from pilotbase import plugins
from pilotbase.domain.pilot import Pilot
from pilotbase.domain.release import Plan
from pilotbase.ports import TargetKind
from pilotbase.spec.parts import adapter
from pilotbase.spec.target import Kinds, installed, main_word

__all__ = ["json_schema", "plan_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:pilotbase:pilot:1"  # a name, and no address: nothing is fetched
PLAN_ID = "urn:pilotbase:plan:1"


def json_schema(*, kinds: Kinds = installed, known: Sequence[str] | None = None) -> dict[str, Any]:
    """The schema, dialect 2020-12. A target is an object with exactly one of the kinds (default: those installed).

    It allows what the types allow; rules that span words (`problems()`) are checked by `pilotbase explain` only.
    """
    known = plugins.names("targets") if known is None else known
    schema = adapter(Pilot).json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.pop("$defs")
    definitions["TargetSpec"] = {
        "description": "How a candidate is reached: exactly one kind, with its options.",
        "oneOf": [form for name in known for form in _forms(name, kinds(name), definitions)],
    }
    return _whole(schema, definitions, ID, "pilot.yaml")


def plan_schema() -> dict[str, Any]:
    """The schema of a release plan, dialect 2020-12; rules that span words are checked when a plan is read."""
    schema = adapter(Plan).json_schema(by_alias=True)
    return _whole(schema, schema.pop("$defs"), PLAN_ID, "release plan")


def _whole(schema: dict[str, Any], definitions: dict[str, Any], name: str, title: str) -> dict[str, Any]:
    whole = {"$schema": DIALECT, "$id": name, **schema, "title": title, "$defs": dict(sorted(definitions.items()))}
    untitled: dict[str, Any] = _untitled(whole, top=True)
    return untitled


def _forms(name: str, kind: TargetKind, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """`{KIND: {OPTIONS}}`, and `{KIND: VALUE, OPTION: VALUE}` where VALUE is the first option."""
    prefix = f"target-{name}"
    options = adapter(kind.options).json_schema(by_alias=True, ref_template=f"#/$defs/{prefix}-{{model}}")
    for inner, definition in options.pop("$defs", {}).items():
        definitions[f"{prefix}-{inner}"] = definition
    definitions[prefix] = options
    main = main_word(kind)
    properties = options.get("properties", {})
    others = [word for word in options.get("required", ()) if word != main]
    beside = {word: value for word, value in properties.items() if word != main}
    text = options.get("description", "")
    nested = {"type": "object", "properties": {name: {"$ref": f"#/$defs/{prefix}"}}, "required": [name]}
    flat = {
        "type": "object",
        "properties": {name: {**properties[main], "description": f"`{main}` of the options."}, **beside},
        "required": [name, *others],
    }
    return [{**form, "description": text, "additionalProperties": False} for form in (nested, flat)]


def _untitled(schema: Any, *, top: bool = False) -> Any:
    """Without the titles that pydantic makes out of words, which tell an editor nothing."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str) and not top:
            continue
        named = key in ("properties", "$defs") and isinstance(value, dict)
        kept[key] = {word: _untitled(inner) for word, inner in value.items()} if named else _untitled(value)
    return kept
