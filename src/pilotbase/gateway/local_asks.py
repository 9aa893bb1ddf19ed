"""What a client asked in one of OpenAI's shapes, as the inputs of a candidate that is a target of the spine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pilotbase.gateway.answers import Refused, bad_request
from pilotbase.gateway.endpoints import Kind

__all__ = ["Declared", "read_asks", "spoken"]

MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The inputs that a candidate was tried with, in order, and its positive class.

    An input called `messages` gets the whole conversation as a list of `{role, content}`; the last words of the user go under
    `text` where that is declared or nothing is, and else under the one other input.
    """

    columns: tuple[str, ...] = ()
    positive: str | None = None

    def text_column(self) -> str | None:
        """Where the user's words go; None where only `messages` is declared. Refused where several inputs would do."""
        others = [column for column in self.columns if column != MESSAGES]
        if not self.columns or "text" in others:
            return "text"
        if len(others) > 1:
            raise bad_request(
                f"This model takes the inputs {', '.join(others)}: ask it with an inference request (/v2/models/.../infer)."
            )
        return others[0] if others else None


def read_asks(kind: Kind, document: Mapping[str, Any], declared: Declared) -> list[dict[str, Any]]:
    """The inputs of each ask: one for a conversation, one a prompt for completions. Refused (400) with what is wrong."""
    if document.get("n") not in (None, 1):
        raise bad_request("This model gives one answer to a question: leave `n` out.", param="n")
    column = declared.text_column()
    if kind == "completions":
        prompts = document.get("prompt", "")
        texts = [prompts] if isinstance(prompts, str) else prompts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise bad_request("`prompt` must be a string or a list of strings; this model takes no tokens.", param="prompt")
        return [_inputs(declared, column, text, [{"role": "user", "content": text}]) for text in texts]
    if kind == "responses":
        word, turns = "input", _turns(document)
    elif kind == "chat":
        word, turns = "messages", document.get("messages")
    else:
        raise Refused(
            status=404, code="unsupported_endpoint", message=f"This model does not answer `{kind}` requests.", retry=False
        )
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, dict) for turn in turns):
        raise bad_request(f"`{word}` must hold at least one message.", param=word)
    last = next((turn for turn in reversed(turns) if turn.get("role") == "user"), None)
    if last is None:
        raise bad_request(f"`{word}` holds no message of the user.", param=word)
    return [_inputs(declared, column, spoken(last.get("content"), word, strict=column is not None), turns)]


def spoken(content: Any, param: str, *, strict: bool = True) -> str:
    """The text of a message, its parts put together with newlines. With `strict`, Refused where a part is no text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        if strict:
            raise bad_request("A message's `content` must be text or a list of parts.", param=param)
        return ""
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str):
            texts.append(text)
        elif strict:
            raise bad_request("This model takes text only: a message has a part of another kind.", param=param)
    return "\n".join(texts)


def _inputs(declared: Declared, column: str | None, text: str, turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    inputs: dict[str, Any] = {} if column is None else {column: text}
    if MESSAGES in declared.columns:
        inputs[MESSAGES] = [dict(turn) for turn in turns]
    return inputs


def _turns(document: Mapping[str, Any]) -> Any:
    """The conversation of a `responses` request; its instructions come first, as a system message."""
    given = document.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        return given
    instructions = document.get("instructions")
    return [{"role": "system", "content": instructions}, *given] if isinstance(instructions, str) and instructions else given
