"""An OpenAI-compatible chat endpoint as a candidate."""

import asyncio
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import orjson

from pilotbase.adaptive import Sleep
from pilotbase.chat import Chat, Endpoint, completions_url, shown_url
from pilotbase.completion import Completion
from pilotbase.domain.bounds import Bounds, url_problems
from pilotbase.domain.evidence import Ask, Reply, Usage
from pilotbase.domain.problem import CONFIG, Problem
from pilotbase.domain.quantity import parse_duration
from pilotbase.errors import UserError
from pilotbase.ports import Fingerprint, Secrets, TargetContext
from pilotbase.prompt import Prompt

__all__ = ["Options", "call_parameters", "kind"]

DECODING = ("params", "tools", "stream")
_SECRET_HEADERS = ("authorization", "proxy-authorization", "api-key", "x-api-key", "cookie")
_OURS = ("model", "messages", "stream", "tools")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to reach a chat model.

    `url` is the API's root, as in `http://127.0.0.1:8000/v1`; `url-env` and `model-env` name variables that hold them instead,
    `key-env` the one that holds the key. `params` are sent as they are (a null takes one out). `timeout` is of one attempt, to
    its last byte; `first-byte-timeout` to its first. `concurrency` is the most calls under way: fewer are, while the endpoint
    refuses some.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = CONFIG

    url: str | None = None
    url_env: str | None = None
    model: str | None = None
    model_env: str | None = None
    key_env: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    version: str | None = None
    stream: bool = False
    timeout: str = "60s"
    first_byte_timeout: str | None = None
    concurrency: int = 32
    retries: int = 6
    headers: Mapping[str, str] = field(default_factory=dict)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the options by themselves."""
        for word, given, name in (("url", self.url, self.url_env), ("model", self.model, self.model_env)):
            if (given is None) == (name is None):
                found = "neither" if given is None else "both"
                message = f"{found} of `{word}` and `{word}-env` is given"
                yield Problem((word,), message, f"write `{word}`, or the variable that holds it")
        if self.url is not None and (fault := _url_fault(self.url)):
            yield Problem(("url",), *fault)
        for word, text in (("timeout", self.timeout), ("first-byte-timeout", self.first_byte_timeout)):
            try:
                parse_duration(text or "1s")
            except ValueError as error:
                yield Problem((word,), str(error))
        if not 1 <= self.concurrency <= 4096:
            yield Problem(("concurrency",), f"{self.concurrency} is out of range", "use 1 to 4096")
        if not 0 <= self.retries <= 20:
            yield Problem(("retries",), f"{self.retries} is out of range", "use 0 to 20")
        for name in _OURS:
            if name in self.params:
                yield Problem(("params", name), f"`{name}` is not a parameter here", "it has its own place beside `params`")
        for name, value in self.headers.items():
            if name.lower() in _SECRET_HEADERS:
                yield Problem(("headers", name), "a secret may not stand in a pilot file", "name its variable with `key-env`")
            elif not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\0]", value):
                yield Problem(("headers", name), "this is no HTTP header")


def call_parameters(options: Options) -> dict[str, Any]:
    """The decoding parameters of the call key (VERDICT.md section 7): they shape an answer and are no part of the identity."""
    said = {name: getattr(options, name) for name in DECODING}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


class OpenAI:
    """A chat endpoint being asked: a Target."""

    batch = 1

    def __init__(self, chat: Chat, prompt: Prompt, options: Options, model: str) -> None:
        self.concurrency = options.concurrency
        self._chat = chat
        self._prompt = prompt
        self._model = model
        request: dict[str, Any] = {"model": model, "stream": options.stream}
        if options.stream:
            request["stream_options"] = {"include_usage": True}
        if options.tools:
            request["tools"] = options.tools
        request.update(options.params)
        self._head = orjson.dumps({k: v for k, v in request.items() if v is not None})[:-1] + b',"messages":'

    async def invoke(self, asks: Sequence[Ask], *, open_loop: bool = False) -> Sequence[Reply]:
        """See `ports.Target`. A text, or `{text, steps}` where tools were called."""
        if len(asks) == 1:
            return [await self._one(asks[0], open_loop)]
        return await asyncio.gather(*(self._one(ask, open_loop) for ask in asks))

    async def aclose(self) -> None:
        await self._chat.aclose()

    async def _one(self, ask: Ask, open_loop: bool) -> Reply:
        body = self._head + self._prompt.render(ask.inputs) + b"}"
        return self._reply(await self._chat.ask(body, open_loop=open_loop))

    def _reply(self, done: Completion) -> Reply:
        extra: dict[str, Any] = {}
        if done.finish is not None:
            extra["finish"] = done.finish
        if done.refusal is not None:
            extra["refusal"] = done.refusal
        if done.steps:
            extra["steps"] = done.steps
        if done.model is not None and done.model != self._model:
            extra["model"] = done.model
        told = done.tokens_in is not None or done.tokens_out is not None
        return Reply(
            answer=None if done.failure else {"text": done.text, "steps": done.steps} if done.steps else done.text,
            failure=done.failure,
            detail=done.detail,
            started=done.started,
            seconds=done.seconds,
            ttft=done.ttft,
            usage=Usage(tokens_in=done.tokens_in, tokens_out=done.tokens_out) if told else None,
            attempts=done.attempts,
            extra=extra,
        )


class Kind:
    """The entry point `openai`."""

    name = "openai"
    options: type = Options
    decoding = DECODING

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._chance = chance

    def build(self, options: Options, context: TargetContext) -> OpenAI:
        """See `ports.TargetKind`. UserError for a missing variable, a prompt with a stray brace, or media, which are not sent."""
        url, model = _address(options, context.secrets)
        prompt = Prompt(context.prompting.messages)
        if files := [name for name in prompt.columns if name in context.media]:
            raise UserError(
                f"the target `openai` sends text, and {', '.join(files)} holds files",
                hint="take the column out of the prompt, or reach the candidate by `python`",
            )
        endpoint = Endpoint(
            url=url,
            key=_secret(options.key_env, context.secrets, "key-env") if options.key_env else None,
            headers=dict(options.headers),
            timeout=parse_duration(options.timeout),
            first_byte=parse_duration(options.first_byte_timeout) if options.first_byte_timeout else None,
            concurrency=options.concurrency,
            retries=options.retries,
            bounds=context.bounds,
        )
        chat = Chat(endpoint, clock=self._clock, sleep=self._sleep, chance=self._chance)
        return OpenAI(chat, prompt, options, model)

    def outside(self, options: Options, bounds: Bounds, folder: Path) -> Iterator[Problem]:
        """See `ports.TargetKind`."""
        yield from url_problems(bounds, options.url, options.key_env)
        for word, name in (("url-env", options.url_env), ("model-env", options.model_env)):
            if name is not None and not bounds.allows_variable(name):
                hint = f"an operator allows it by PILOTBASE_ALLOW_VARIABLES={name}"
                yield Problem((word,), f"an uploaded pilot may not read the variable `{name}`", hint)

    def fingerprint(self, options: Options, context: TargetContext) -> Fingerprint:
        """URL, model and declared version, and the prompt, which is part of what answers."""
        url, model = _address(options, context.secrets)
        parts = {"url": shown_url(url), "model": model, "version": options.version or ""}
        identity = {**parts, "url": str(completions_url(url)), "prompt": context.prompting.messages}
        digest = hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()
        return Fingerprint(digest=f"sha256:{digest}", kind=self.name, self_declared=True, parts=parts)


def _address(options: Options, secrets: Secrets) -> tuple[str, str]:
    url = options.url or _secret(options.url_env, secrets, "url-env")
    if fault := _url_fault(url):
        raise UserError(f"the variable {options.url_env} holds no usable address: {fault[0]}", hint=fault[1])
    return url, options.model or _secret(options.model_env, secrets, "model-env")


def _secret(name: str | None, secrets: Secrets, word: str) -> str:
    value = (secrets(name) or "").strip() if name else ""
    if not value:
        message = f"the environment variable {name}, which `{word}` names, is not set"
        raise UserError(message, hint=f"set it before the run: export {name}=...")
    return value


def _url_fault(url: str) -> tuple[str, str] | None:
    """(what is wrong with an address, what to do), or None."""
    match = re.fullmatch(r"https?://(?P<user>[^/?#@]*@)?[^/?#@\s]+(?:[/?]\S*)?", url)
    if match is None:
        return f"`{shown_url(url)}` is not an http(s) address", "write the API's root, as in `http://127.0.0.1:8000/v1`"
    if match["user"]:
        return "the address holds a user or a password", "take it out, and name the key's variable with `key-env`"
    return None


kind = Kind()
