"""The YAML parser's complaints in plain words."""

import re

from pilotbase.spec.place import Position

__all__ = ["explain"]

# (what the parser says, what to tell, what to do); the first that matches is used, and `{0}` is its first group.
_WORDS: tuple[tuple[str, str, str], ...] = (
    (r"mapping values are not allowed", "a `:` where no key can stand", "quote text that holds `: `, or mend the indentation"),
    (r"found character '\\t' that cannot start", "a tab is used as indentation", "indent with spaces"),
    (r"found character '(.+)' that cannot start", "text cannot start with `{0}`", "quote it"),
    (r"could not find expected ':'", "a line without `: `", "write `key: value`"),
    (r"expected ',' or '([\]}])', but got '<stream end>'", "the file ends where `{0}` is missing", "close it"),
    (r"expected ',' or '([\]}])'", "`,` or `{0}` is missing", "separate with `,` and close with `{0}`"),
    (r"expected <block end>, but found '([\]}])'", "`{0}` closes nothing", "remove it"),
    (r"expected <block end>, but found '-'", "a list item where a key should stand", "mend the indentation"),
    (r"expected <block end>, but found '\?'", "a key where a list item should stand", "mend the indentation, or write `- `"),
    (r"expected <block end>", "this does not belong to what stands above it", "mend the indentation"),
    (r"found unexpected end of stream", "the file ends inside quotes", "close them"),
    (r"found unexpected document separator", "`---` or `...` inside quotes", "close them"),
    (r"found unknown escape character '(.+)'", "`\\{0}` is no escape", "write `\\\\` for a backslash, or use single quotes"),
    (r"expected escape sequence of (\d+) hexdecimal", "an escape needs {0} hexadecimal digits", "use single quotes"),
    (r"expected alphabetic or numeric character", "`&` or `*` without a name", "quote the text"),
    (r"undefined tag handle|tag", "tags (`!`) are not allowed", "remove it or quote the text"),
    (r"sequence entries are not allowed", "a list item cannot stand here", "mend the indentation"),
    (r"mapping keys are not allowed", "a key cannot stand here", "mend the indentation"),
    (
        r"expected the node content, but found '<stream end>'",
        "the file ends where a value should stand",
        "write it and close what is open",
    ),
    (r"expected the node content, but found '(.+)'", "`{0}` where a value should stand", "write a value or quote it"),
)


def explain(context: str | None, problem: str | None, opened: Position | None) -> tuple[str, str]:
    """(what was found, what to do) for what the parser said; `opened` is where the thing that it was reading began."""
    said = problem or context or "it is not YAML"
    for pattern, message, hint in _WORDS:
        match = re.search(pattern, said)
        if match:
            closes = opened is not None and re.search("missing|quotes", message)
            started = f" (opened at line {opened.line}, column {opened.column})" if opened and closes else ""
            group = match[1] if match.groups() else ""
            return message.replace("{0}", group) + started, hint.replace("{0}", group)
    # Rare complaints keep the parser's own words, without its newlines.
    return "it is not YAML: " + " ".join(f"{context or ''} {problem or ''}".split()), "mend it or quote the text"
