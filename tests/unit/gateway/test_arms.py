"""Whom the candidate arm answers: sticky, growing, fair, and by names."""

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.access import AccessKey
from pilotbase.domain.traffic import Arm, Tie, Upstream
from pilotbase.gateway.arms import Caller, caller_of, falls_on, holder_of, is_named, kept_at

ARM = Arm(release="r1", upstreams=(Upstream(url="http://c/v1"),), tie=Tie(policy="allow"))
KEY = AccessKey(id="k1", name="clinic", digest="d", created=datetime(2026, 11, 21, tzinfo=UTC))
SALT = b"s" * 32
shares = st.floats(0.0, 1.0)
callers = st.binary(min_size=1, max_size=40)


def caller(
    document: dict[str, Any] | None = None, request: str = "q1", key: AccessKey = KEY, salt: bytes = SALT, **headers: str
) -> Caller:
    found = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return caller_of(key, found, document or {}, request, salt)


def chat(*turns: str) -> dict[str, Any]:
    """A conversation: the user and the assistant by turns."""
    said = [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(turns)]
    return {"messages": [{"role": "system", "content": "be brief"}, *said]}


@given(callers, shares)
def test_a_caller_stays_where_he_fell(sticky: bytes, share: float) -> None:
    arm = replace(ARM, share=share)
    assert len({falls_on(arm, sticky, SALT) for _ in range(3)}) == 1
    assert falls_on(replace(arm, shadow=0.5, notice="x", people=("y",)), sticky, SALT) is falls_on(arm, sticky, SALT)


@given(callers, shares, shares)
def test_a_share_that_grows_keeps_everyone_it_had(sticky: bytes, one: float, other: float) -> None:
    small, large = sorted((one, other))
    if falls_on(replace(ARM, share=small), sticky, SALT):
        assert falls_on(replace(ARM, share=large), sticky, SALT)


@given(callers)
def test_no_share_takes_nobody_and_the_whole_takes_everyone(sticky: bytes) -> None:
    assert not falls_on(ARM, sticky, SALT)
    assert falls_on(replace(ARM, share=1.0), sticky, SALT)


def test_the_share_is_that_part_of_the_callers_within_binomial_limits() -> None:
    n = 20_000
    for share in (0.01, 0.05, 0.25, 0.5):
        found = sum(falls_on(replace(ARM, share=share), b"user %d" % i, SALT) for i in range(n))
        assert abs(found - n * share) < 4.5 * math.sqrt(n * share * (1 - share)), share


def test_another_salt_or_another_release_takes_others() -> None:
    arm = replace(ARM, share=0.5)
    sticky = [b"user %d" % i for i in range(2_000)]
    first = [falls_on(arm, one, SALT) for one in sticky]
    for other in (
        [falls_on(arm, one, b"t" * 32) for one in sticky],
        [falls_on(replace(arm, release="r2"), one, SALT) for one in sticky],
    ):
        # Independent halves agree on about a half: 1,000 with a deviation of 22.
        assert abs(sum(a == b for a, b in zip(first, other, strict=True)) - 1_000) < 110


@given(st.text(min_size=1, max_size=30), st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_every_turn_of_a_conversation_falls_together(opening: str, later: list[str]) -> None:
    first = caller(chat(opening), "q1")
    assert all(caller(chat(opening, *later[:n]), f"q{n}").sticky == first.sticky for n in range(len(later) + 1))


def test_conversations_are_told_apart_by_what_the_user_says_first_and_not_by_the_system() -> None:
    assert caller(chat("one")).sticky != caller(chat("two")).sticky
    other = {"messages": [{"role": "system", "content": "be long"}, {"role": "user", "content": "one"}]}
    assert caller(chat("one")).sticky == caller(other).sticky
    assert caller(chat("one")).sticky != caller(chat("one"), key=replace(KEY, id="k2")).sticky


def test_a_response_falls_by_its_conversation_or_by_what_it_begins_with() -> None:
    plain, listed = {"input": "hello"}, {"input": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"}]}
    assert caller(plain, "q1").sticky == caller(listed, "q2").sticky
    one, other = ({"input": text, "conversation": {"id": "conv_1"}} for text in ("hello", "and then?"))
    assert caller(one, "q1").sticky == caller(other, "q2").sticky != caller(plain).sticky


def test_content_in_parts_is_told_apart_by_its_parts() -> None:
    def parts(picture: str) -> dict[str, Any]:
        shown = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": picture}}]
        return {"messages": [{"role": "user", "content": shown}]}

    assert caller(parts("data:a")).sticky == caller(parts("data:a"), "q2").sticky != caller(parts("data:b")).sticky


def test_a_request_that_belongs_to_nothing_falls_by_itself() -> None:
    for document in (
        {},
        {"prompt": "hello"},
        {"input": ["a", "b"]},
        {"messages": []},
        {"messages": [{"role": "user", "content": ""}]},
    ):
        assert caller(document, "q1").sticky != caller(document, "q2").sticky
        assert caller(document, "q1").sticky == caller(document, "q1").sticky


def test_content_nested_without_end_is_no_trouble() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    assert caller({"messages": [{"role": "user", "content": deep}]}).sticky
    wide = [["a"] * 50] * 200_000
    assert caller({"messages": [{"role": "user", "content": wide}]}).sticky


def test_one_user_falls_together_whatever_he_says_and_however_he_is_named() -> None:
    said = [
        caller({**chat("one"), "user": "u7"}),
        caller({**chat("two"), "safety_identifier": "u7"}, "q2"),
        caller(chat("three"), "q3", x_pilotbase_user="u7"),
        caller({**chat("four"), "user": "another"}, "q4", x_pilotbase_user=" u7 "),
    ]
    assert len({(one.sticky, one.person, one.user) for one in said}) == 1
    assert caller({"user": "u7"}, key=replace(KEY, id="k2")).sticky != said[0].sticky


def test_a_conversation_named_in_a_header_counts_before_what_is_said() -> None:
    one = caller(chat("one"), x_pilotbase_conversation="c1")
    assert one.sticky == caller(chat("two"), "q2", x_pilotbase_conversation="c1").sticky
    assert one.sticky != caller(chat("one"), x_pilotbase_conversation="c2").sticky


def test_a_person_is_a_keyed_hash_of_key_and_user_and_of_the_key_alone_where_none_is_named() -> None:
    one, other = caller({"user": "Wang Fang"}), caller({"user": "Li Na"})
    assert len({one.person, other.person, caller().person}) == 3
    assert one.person != caller({"user": "Wang Fang"}, salt=b"t" * 32).person
    assert caller(chat("a"), "q1").person == caller(chat("b"), "q2").person
    assert len(one.person) == 16 and "Wang" not in one.person


def test_a_user_who_is_no_text_is_none() -> None:
    for odd in (7, None, ["u"], {"a": 1}, ""):
        assert caller({"user": odd}).user == ""


def test_named_users_are_a_key_by_id_or_name_and_a_user_of_a_key() -> None:
    for people, user, named in [
        (("k1",), "", True),
        (("clinic",), "dr-li", True),
        (("clinic/dr-li",), "dr-li", True),
        (("k1/dr-li",), "dr-li", True),
        (("clinic/dr-li",), "", False),
        (("clinic/dr-li",), "dr-wu", False),
        (("dr-li",), "dr-li", False),
        ((), "dr-li", False),
    ]:
        assert is_named(replace(ARM, people=people), KEY, user) is named, (people, user)


def test_a_key_is_not_taken_for_another_keys_user_by_its_name() -> None:
    odd = replace(KEY, id="k9", name="clinic/dr-li")
    assert not is_named(replace(ARM, people=("clinic/dr-li",)), odd, "")
    assert is_named(replace(ARM, people=("k9",)), odd, "")


def test_who_made_a_response_is_told_from_one_of_the_same_name_in_the_other_arm() -> None:
    assert holder_of(kept_at("candidate", "r1", "main")) == ("r1", "main")
    assert holder_of(kept_at("stable", "r1", "main")) == ("", "main")
    assert holder_of(kept_at("", "", "main")) == ("", "main")
