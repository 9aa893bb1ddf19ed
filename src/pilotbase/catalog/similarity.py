"""How alike texts are: terms of Chinese and English, and BM25 over them, both ways. An index is made once and asked often."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pilotbase.detect.zh import simplify

__all__ = ["Index", "Terms", "fold", "terms"]

Terms = Mapping[str, int]
"""How often each term stands in a text."""
_HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_RUN = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_WORD = re.compile(rf"[^{_HAN}]")
_PARTICLES = re.compile("[的了与及和是]")
"""Characters that join words and begin none that a catalogue is searched for."""
_STOP_WORDS = (
    "a an and are as at be by can do does for from has have how in into is it its more must no not of on or our so such than "
    "that the their them then there these they this to we were what when where which who will with without would you"
)
_STOP = frozenset(_STOP_WORDS.split())
_K1, _B, _K3 = 1.2, 0.75, 8.0


def fold(text: str) -> str:
    """A text for comparing: NFKC (full-width letters become plain), case folded, traditional characters simplified as far as the
    table of `detect.zh` goes, without blanks at the ends.
    """
    return simplify(unicodedata.normalize("NFKC", text).casefold()).strip()


def terms(text: str) -> Counter[str]:
    """The terms of a text. Of Chinese the runs of two and of three characters, which needs no word list (a run of one stays one);
    of other scripts whole words without English plurals (the S-stemmer of Harman 1991, JASIS 42, 7) and stop words.
    """
    found: Counter[str] = Counter()
    for run in _RUN.findall(fold(text)):
        if _WORD.match(run):
            if run not in _STOP:
                found[_singular(run)] += 1
            continue
        for part in _PARTICLES.split(run):
            if len(part) == 1:
                found[part] += 1
            for size in (2, 3):
                found.update(part[i : i + size] for i in range(len(part) - size + 1))
    return found


def _singular(word: str) -> str:
    if len(word) < 4 or not word.isascii():
        return word
    if word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word[:-1] if word.endswith("s") and word[-2] not in "us" else word


class Index:
    """BM25 over texts (Robertson & Zaragoza 2009, Foundations and Trends in Information Retrieval 3, 333, sections 3.5 and 3.6).

    A term t that stands f times in a text of length l weighs idf(t) f (k1 + 1) / (f + k1 (1 - b + b l / mean l)), and g times in
    the text that asks it counts g (k3 + 1) / (g + k3); k1 = 1.2, b = 0.75, k3 = 8. idf(t) = ln(1 + (N - n + 0.5) / (n + 0.5)),
    which is never below 0, also for terms of most texts (as Lucene has it).

    Scores are shares: what a text scores divided by what the asking text scores against itself, so that 1 is "the same text".
    """

    def __init__(self, texts: Sequence[Terms]) -> None:
        self._words: dict[str, int] = {}
        words, counts = self._words, [len(one) for one in texts]
        numbers = [words.setdefault(term, len(words)) for one in texts for term in one]
        self._of = np.repeat(np.arange(len(texts), dtype=np.int64), counts)
        term = np.asarray(numbers, dtype=np.int64)
        often = np.fromiter((n for one in texts for n in one.values()), dtype=np.float64, count=len(numbers))
        self._lengths = np.bincount(self._of, often, minlength=len(texts))
        self._mean = float(self._lengths.mean()) if len(texts) and self._lengths.any() else 1.0
        n = np.bincount(term, minlength=len(words))
        self._idf = np.log1p((len(texts) - n + 0.5) / (n + 0.5))
        weight, asked = _weight(often, self._lengths[self._of] / self._mean), _asked(often)
        # What a text scores against itself, by which shares are made.
        self._selves = np.bincount(self._of, self._idf[term] * weight * asked, minlength=len(texts))
        order = np.argsort(term, kind="stable")
        self._rows, self._weight, self._asked = self._of[order], weight[order], asked[order]
        self._ends = np.concatenate(([0], np.cumsum(n)))

    def __len__(self) -> int:
        return len(self._lengths)

    def shares(self, text: Terms) -> NDArray[np.float64]:
        """How alike each text of the index is to one, shape (texts,): the mean of how much of each is in the other."""
        forth, back = np.zeros(len(self)), np.zeros(len(self))
        own = self._self(text)
        if own <= 0.0:
            return forth
        length = sum(text.values()) / self._mean
        for term, often in text.items():
            if (number := self._words.get(term)) is None:
                continue
            here, idf = slice(self._ends[number], self._ends[number + 1]), self._idf[number]
            rows = self._rows[here]  # a text stands once in the list of a term
            forth[rows] += idf * _asked(often) * self._weight[here]
            back[rows] += idf * _weight(often, length) * self._asked[here]
        return 0.5 * (forth / own + back / np.where(self._selves > 0.0, self._selves, 1.0))

    def why(self, text: Terms, other: Terms, most: int = 6) -> list[str]:
        """The terms that two texts share, those that count most first; of terms within one another the longest."""
        weights = {
            term: self._idf[self._words[term]] * _asked(text[term]) * _asked(other[term])
            for term in text.keys() & other.keys()
            if term in self._words
        }
        found: list[str] = []
        for term in sorted(weights, key=lambda one: (-weights[one], -len(one), one)):
            if any(term in one for one in found):
                continue
            found = [one for one in found if one not in term]
            found.append(term)
        return found[:most]

    def _self(self, text: Terms) -> float:
        """What a text scores against itself; a term that the index does not have is one of no text."""
        length = sum(text.values()) / self._mean
        unseen = float(np.log1p((len(self) + 0.5) / 0.5))
        return float(
            sum(
                (self._idf[self._words[term]] if term in self._words else unseen) * _weight(often, length) * _asked(often)
                for term, often in text.items()
            )
        )


def _weight(often: Any, length: Any) -> Any:
    return often * (_K1 + 1.0) / (often + _K1 * (1.0 - _B + _B * length))


def _asked(often: Any) -> Any:
    return often * (_K3 + 1.0) / (often + _K3)
