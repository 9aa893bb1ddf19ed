"""What every guard of the family `pilotbase.guards` promises (`ports.Guard`), for built-in ones and for those of plug-ins.

Subclass `GuardContract`, give `guard()`, and run it with pytest: texts are drawn by Hypothesis, with `samples` among them.
"""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.ports import Finding, Guard

__all__ = ["GuardContract"]

PIECES = (
    "你好",
    "hello ",
    "13800138000",
    "11010519491231002X",
    "secret",
    "秘密",
    "ｓｅｃｒｅｔ",
    " ",
    "-",
    "\n",
    "\u200b",
    "😀",
    "\ud800",
    "a" * 40,
)


def _same(findings: Sequence[Finding]) -> list[tuple[str, str, int, int]]:
    return [(one.guard, one.rule, one.start, one.end) for one in findings]


class GuardContract:
    """The rules. `samples` are texts that trip the guard, if the plug-in has some."""

    samples: Sequence[str] = ()

    def guard(self) -> Guard:
        """A fresh guard."""
        raise NotImplementedError

    def texts(self) -> st.SearchStrategy[str]:
        """Texts of any kind, those that trip it among them."""
        pieces = st.sampled_from([*PIECES, *self.samples])
        return st.lists(st.one_of(pieces, st.text(max_size=6)), max_size=12).map("".join)

    def test_findings_are_in_order_within_the_text_and_say_whose_they_are(self) -> None:
        guard = self.guard()

        @given(self.texts(), st.sampled_from(["input", "output"]))
        def check(text: str, phase: str) -> None:
            found = guard.inspect(text, phase)  # type: ignore[arg-type]
            assert all(0 <= one.start < one.end <= len(text) for one in found)
            assert [one.start for one in found] == sorted(one.start for one in found)
            assert all(one.guard and one.rule for one in found)
            assert _same(found) == _same(guard.inspect(text, phase))  # type: ignore[arg-type]

        check()

    def test_a_finding_never_holds_what_was_found(self) -> None:
        for text in self.samples:
            for one in self.guard().inspect(text, "output"):
                assert text[one.start : one.end] not in repr(one)

    def test_what_is_out_of_reach_stays_as_it_is_when_the_text_grows(self) -> None:
        guard = self.guard()

        @given(self.texts(), self.texts())
        def check(text: str, more: str) -> None:
            settled = len(text) - guard.reach
            before = [one for one in guard.inspect(text, "output") if one.end < settled]
            after = [one for one in guard.inspect(text + more, "output") if one.end < settled]
            assert _same(before) == _same(after)

        check()

    def test_the_texts_that_trip_it_do(self) -> None:
        for text in self.samples:
            assert self.guard().inspect(text, "output"), text
