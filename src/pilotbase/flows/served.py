"""A pilot's candidate as an upstream of a route, its identity as it is served, and its target built again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pilotbase import plugins
from pilotbase.context import Context
from pilotbase.domain.pilot import Candidate, Pilot, TargetSpec
from pilotbase.domain.traffic import Limits, Preamble, Timeouts, Upstream
from pilotbase.errors import UserError
from pilotbase.ports import Fingerprint, Prompting, Secrets, Target, TargetContext
from pilotbase.prompt import places
from pilotbase.spec.load import plain
from pilotbase.spec.target import installed, read_target

__all__ = ["build_target", "decoding_of", "fingerprint_of", "recorded_candidate", "upstream_of"]

Messages = Sequence[tuple[str, str]]


def upstream_of(context: Context, pilot: Pilot, candidate: Candidate, folder: Path) -> Upstream:
    """What serves a candidate as it was tried: `openai` by its address, `python` by its target, rebuilt from `folder`.

    UserError for other kinds, and for prompts that a chat request cannot stand in for.
    """
    spec = candidate.target
    if spec.kind == "openai":
        return _openai(context, candidate)
    if spec.kind == "python":
        return Upstream(kind="target", target=_document(pilot, candidate, folder))
    raise UserError(
        f"candidate `{candidate.id}` is of kind `{spec.kind}`, which cannot be served",
        hint="a candidate of kind `openai` or `python` can",
    )


def build_target(secrets: Secrets, document: Mapping[str, Any], scratch: Path) -> Target:
    """The target of an upstream of kind `target`, ready to be asked. UserError where it can no longer be built here."""
    spec, known = _spec(document), _knowing(secrets, document, scratch)
    target: Target = plugins.load("targets", spec.kind).build(spec.options, known)
    return target


def fingerprint_of(context: Context, upstream: Upstream, name: str, tried: Candidate) -> Fingerprint:
    """The identity of what an upstream serves, computed now, in the terms of the candidate `tried`.

    `name` is the model where the upstream names none. What only its owner can tell, the declared version, is taken from `tried`.
    UserError where the upstream is of another kind than the candidate.
    """
    if upstream.kind == "target" and upstream.target is not None and tried.target.kind == upstream.target.get("kind"):
        spec = _spec(upstream.target)
        known = _knowing(context.secrets, upstream.target, context.scratch())
    elif upstream.kind == "openai" and tried.target.kind == "openai":
        asked = {"url": upstream.url, "url_env": None, "model": upstream.model or name, "model_env": None}
        spec = TargetSpec(kind="openai", options=replace(tried.target.options, **asked))
        known = _context(context.secrets, Path(), _served_messages(upstream, tried), (), context.scratch())
    else:
        raise UserError(
            f"upstream `{upstream.name}` is of kind `{upstream.kind}`, and the dossier tried `{tried.id}`, of another kind",
            hint="serve what was tried: --pilot and --candidate",
        )
    found: Fingerprint = plugins.load("targets", spec.kind).fingerprint(spec.options, known)
    return found


def recorded_candidate(pilot: Pilot, name: str) -> Candidate:
    """A candidate of a pilot read from a record, its target's options read by their kind. UserError where they cannot be."""
    candidate = next(c for c in pilot.candidates if c.id == name)
    spec = candidate.target
    return replace(candidate, target=_spec({"kind": spec.kind, "options": spec.options}))


def decoding_of(upstream: Upstream, candidate: Candidate) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """(request fields that the upstream sets, those that the candidate was tried with): equal where it is served as tried."""
    if upstream.kind != "openai" or candidate.target.kind != "openai":
        return {}, {}
    return dict(plain(upstream.defaults)), _defaults(candidate)


def _openai(context: Context, candidate: Candidate) -> Upstream:
    options = candidate.target.options
    fixed, last = _split(candidate)
    if [column for column, _ in places(last[1])] != [True] or last[0] != "user":
        raise _refused(candidate, 'its last message is not a user\'s that consists of one input alone, as in "{question}"')
    for _, template in fixed:
        if any(column for column, _ in places(template)):
            raise _refused(candidate, "an input stands in a message before the last one")
    longest = options.first_byte_timeout or options.timeout
    return Upstream(
        kind="openai",
        url=options.url or _variable(context, options.url_env),
        model=options.model or _variable(context, options.model_env),
        key_env=options.key_env,
        headers=dict(options.headers),
        preamble=_preamble(fixed),
        defaults=_defaults(candidate),
        timeouts=Timeouts(first_byte=longest, total=options.timeout),
        limits=Limits(concurrency=options.concurrency),
    )


def _refused(candidate: Candidate, why: str) -> UserError:
    return UserError(
        f"candidate `{candidate.id}` cannot be served as a chat model: {why}",
        hint="a client's messages take the place of the last one: move fixed words into messages before it, or wrap the "
        "candidate in a python callable, which is served by its inputs (kind `target`)",
    )


def _split(candidate: Candidate) -> tuple[list[tuple[str, str]], tuple[str, str]]:
    """The messages before the last one, and the last one."""
    messages = _messages(candidate)
    if not messages:
        raise _refused(candidate, "it has no prompt")
    return messages[:-1], messages[-1]


def _messages(candidate: Candidate) -> list[tuple[str, str]]:
    if candidate.messages:
        return [(m.role, m.content) for m in candidate.messages]
    return [("user", candidate.prompt)] if candidate.prompt else []


def _preamble(fixed: Messages) -> tuple[Preamble, ...]:
    """Fixed messages with `{{` and `}}` read as braces."""
    said = [(role, "".join(text for _, text in places(template))) for role, template in fixed]
    return tuple(Preamble(role=role, content=content) for role, content in said)  # type: ignore[arg-type]


def _served_messages(upstream: Upstream, tried: Candidate) -> list[tuple[str, str]]:
    """The prompt as it is served: the candidate's own where the fixed part is the same, else what stands in the route."""
    fixed, last = _split(tried)
    if _preamble(fixed) == tuple(upstream.preamble):
        return [*fixed, last]
    return [*((p.role, p.content.replace("{", "{{").replace("}", "}}")) for p in upstream.preamble), last]


def _defaults(candidate: Candidate) -> dict[str, Any]:
    options = candidate.target.options
    found = {name: plain(value) for name, value in options.params.items() if value is not None}
    return {**found, "tools": plain(options.tools)} if options.tools else found


def _document(pilot: Pilot, candidate: Candidate, folder: Path) -> dict[str, Any]:
    """All that is needed to build a target again: nothing secret, and no column but the inputs."""
    test = pilot.data.test
    return {
        "kind": candidate.target.kind,
        "options": plain(candidate.target.options),
        "folder": str(folder.absolute()),
        "inputs": list(test.inputs),
        "media": list(test.media),
        "prompt": [list(message) for message in _messages(candidate)],
        "positive": test.positive,
        "candidate": candidate.id,
    }


def _spec(document: Mapping[str, Any]) -> TargetSpec:
    name = document["kind"]
    spec, findings = read_target({name: dict(document["options"])}, installed, plugins.names("targets"), lambda _: None)
    if spec is None or findings:
        told = "; ".join(f.problem.message for f in findings[:3])
        raise UserError(f"the route's target cannot be read by this version: {told}", hint="add the route again from its pilot")
    return spec


def _knowing(secrets: Secrets, document: Mapping[str, Any], scratch: Path) -> TargetContext:
    messages = [(str(role), str(text)) for role, text in document.get("prompt", ())]
    return _context(secrets, Path(document["folder"]), messages, tuple(document.get("media", ())), scratch)


def _context(secrets: Secrets, folder: Path, messages: Messages, media: tuple[str, ...], scratch: Path) -> TargetContext:
    prompting = Prompting(messages=tuple(messages))
    return TargetContext(folder=folder, prompting=prompting, secrets=secrets, scratch=scratch, media=media)


def _variable(context: Context, name: str | None) -> str:
    value = (context.secrets(name) or "").strip() if name else ""
    if not value:
        raise UserError(f"the environment variable {name}, which the candidate names, is not set", hint=f"export {name}=...")
    return value
