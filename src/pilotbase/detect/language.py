"""Which scripts a text is written in: counts of letters by script, the same on every machine.

Only the scripts of the table are told apart, by their blocks (Unicode 15, Blocks.txt); letters of any other are `other`. Digits,
punctuation, signs and spaces belong to no script and are not counted.
"""

import bisect
from collections import Counter
from collections.abc import Collection
from typing import Literal, get_args

__all__ = ["SCRIPTS", "Script", "count_scripts", "share"]

Script = Literal[
    "han", "latin", "kana", "hangul", "cyrillic", "arabic", "devanagari", "thai", "greek", "hebrew", "tibetan", "other"
]
SCRIPTS: tuple[Script, ...] = get_args(Script)

_BLOCKS: tuple[tuple[int, int, Script], ...] = (
    (0x0041, 0x024F, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x06FF, "arabic"),
    (0x0750, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0E00, 0x0E7F, "thai"),
    (0x0F00, 0x0FFF, "tibetan"),
    (0x1100, 0x11FF, "hangul"),
    (0x1E00, 0x1EFF, "latin"),
    (0x1F00, 0x1FFF, "greek"),
    (0x2E80, 0x2FDF, "han"),
    (0x3005, 0x3007, "han"),
    (0x3040, 0x30FF, "kana"),
    (0x3130, 0x318F, "hangul"),
    (0x31F0, 0x31FF, "kana"),
    (0x3400, 0x9FFF, "han"),
    (0xAC00, 0xD7FF, "hangul"),
    (0xF900, 0xFAFF, "han"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFE, "arabic"),
    (0xFF21, 0xFF5A, "latin"),
    (0xFF66, 0xFF9F, "kana"),
    (0x20000, 0x3FFFF, "han"),
)
_STARTS = tuple(start for start, _, _ in _BLOCKS)


def count_scripts(text: str) -> dict[Script, int]:
    """How many letters of `text` belong to each script that occurs; empty where there is no letter."""
    counts: Counter[Script] = Counter()
    for char, times in Counter(text).items():
        if char.isalpha() or char == "\u3007":
            counts[_script(ord(char))] += times
    return dict(counts)


def share(text: str, allowed: Collection[Script]) -> tuple[float, int]:
    """The share (0 to 1) of the letters of `text` in the allowed scripts, and how many letters there are; 1.0 without any."""
    counts = count_scripts(text)
    letters = sum(counts.values())
    return (sum(counts.get(script, 0) for script in allowed) / letters, letters) if letters else (1.0, 0)


def _script(code: int) -> Script:
    place = bisect.bisect_right(_STARTS, code) - 1
    if place < 0:
        return "other"
    _, end, script = _BLOCKS[place]
    return script if code <= end else "other"
