"""Personal data: numbers that are found, numbers that are not, and what decides."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotbase.detect.check_digits import is_card, is_credit_code, is_resident_id
from pilotbase.detect.pii import KINDS, MASKS, Kind, find, open_from, reach

FOUND: tuple[tuple[Kind, str], ...] = (
    # The two examples of GB 11643-1999, annex A.
    ("id-number", "11010519491231002X"),
    ("id-number", "440524188001010014"),
    ("id-number", "11010519491231002x"),
    ("id-number", "110105 19491231 002X"),
    ("id-number", "110105-1949-1231-002X"),
    ("id-number", "１１０１０５１９４９１２３１００２Ｘ"),
    # The worked example for GB 32100-2015: 91350100M000100Y4 gives 1640, 28 modulo 31, and so the check character 3.
    ("credit-code", "91350100M000100Y43"),
    ("credit-code", "91350100m000100y43"),
    ("credit-code", "91 350100 M000100Y43"),
    ("mobile", "13912345678"),
    ("mobile", "139 1234 5678"),
    ("mobile", "139-1234-5678"),
    ("mobile", "+86 13912345678"),
    ("mobile", "8613912345678"),
    ("mobile", "１３９１２３４５６７８"),
    # Test numbers that card schemes publish.
    ("bank-card", "4111111111111111"),
    ("bank-card", "4111 1111 1111 1111"),
    ("bank-card", "5555-5555-5555-4444"),
    ("bank-card", "6222021234567890128"),
    ("bank-card", "6222 0212 3456 7890 128"),
    ("passport", "E12345678"),
    ("passport", "EA1234567"),
    ("passport", "G12345678"),
    ("plate", "京A12345"),
    ("plate", "京A·12345"),
    ("plate", "粤BD12345"),
    ("plate", "沪A1234学"),
    ("email", "a.b+c@mail.example.com"),
    ("email", "a＠example．cn"),
    ("ip", "192.168.1.10"),
    ("ip", "2001:db8::1"),
    ("ip", "fe80::1"),
    ("us-phone", "(415) 555-2671"),
    ("us-phone", "+1 415-555-2671"),
    ("us-ssn", "123-45-6789"),
)
NOT_FOUND = (
    "110105194912310021",  # wrong check character
    "11010519491331002X",  # no such month
    "99010519491231002X",  # no such province
    "911010519491231002X7",  # inside a longer run
    "113912345678",
    "139123456789",
    "12912345678",
    "4111111111111112",
    "0000000000000000",
    "91350100M000100Y4Z",  # the printed code of that worked example, whose last character is wrong
    "91350100I000100Y43",
    "XE12345678",
    "京A1234",
    "京AABCDE",
    "a@b",
    "@example.com",
    "1.2.3.4.5",
    "256.1.1.1",
    "std::byte",
    "12:30:45",
    "000-45-6789",
)


@pytest.mark.parametrize(("kind", "text"), FOUND)
def test_it_is_found_in_a_sentence_and_alone(kind: Kind, text: str) -> None:
    for before, after in (("", ""), ("号码：", "。"), ("(", ")"), ("见", "，谢谢")):
        spans = find(before + text + after)
        assert [(span.kind, span.start, span.end) for span in spans] == [(kind, len(before), len(before) + len(text))]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_it_is_not_found(text: str) -> None:
    assert find(f"号码：{text}。") == []


def test_only_the_kinds_that_were_asked_for_are_found() -> None:
    text = "13912345678 a@example.com 11010519491231002X"
    for kind in ("mobile", "email", "id-number"):
        assert [span.kind for span in find(text, (kind,))] == [kind]
    assert find(text, ()) == []


def test_a_number_inside_another_finding_is_not_told_again() -> None:
    assert [span.kind for span in find("13912345678@example.com")] == ["email"]
    assert [span.kind for span in find("13912345678@example.com", ("mobile",))] == ["mobile"]


def test_a_number_that_begins_inside_a_wrong_candidate_is_found() -> None:
    text = "5 11010519491231002X"
    assert [(span.kind, span.start) for span in find(text)] == [("id-number", 2)]


def test_every_kind_has_a_mask_that_keeps_nothing() -> None:
    assert set(MASKS) == set(KINDS)
    assert MASKS["id-number"] == "[身份证]"
    assert all(not any(c.isdigit() for c in mask) for mask in MASKS.values())


def test_prose_is_open_from_its_end() -> None:
    for text in ("今天天气不错。", "We go home, ", "12 apples and pears", ""):
        assert open_from(text + "。") == len(text) + 1
    assert open_from("号码是110105 1949") == 3
    assert reach(("mobile",)) < reach(("id-number",)) < reach(("email",))


def test_half_a_surrogate_pair_and_other_scripts_digits_do_no_harm() -> None:
    assert find("\ud83d13912345678\udc00")[0].kind == "mobile"
    assert find("١٣٩١٢٣٤٥٦٧٨") == []


def iso_7064_mod_11_2(body: str) -> str:
    """The pure system of ISO 7064, section 7, computed step by step: p = (p + a) * 2 mod 11."""
    p = 0
    for digit in body:
        p = (p + int(digit)) * 2 % 11
    return "0123456789X"[(12 - p) % 11]


def luhn(body: str) -> str:
    """The check digit by its definition: doubled digits as sums of their digits, up to the next ten."""
    total = sum(sum(map(int, str(int(d) * 2))) if i % 2 == 0 else int(d) for i, d in enumerate(reversed(body)))
    return str(-total % 10)


@given(
    st.sampled_from(("110105", "440524", "650102")),
    st.dates(date(1850, 1, 1), date(2099, 12, 31)),
    st.integers(0, 999),
    st.sampled_from("0123456789X"),
)
@settings(max_examples=200)
def test_a_resident_number_is_right_exactly_with_the_check_character_of_iso_7064(region, born, order, last) -> None:
    body = f"{region}{born:%Y%m%d}{order:03d}"
    assert is_resident_id(body + last) == (last == iso_7064_mod_11_2(body))


@given(st.text("0123456789", min_size=14, max_size=14), st.sampled_from("0123456789"))
@settings(max_examples=200)
def test_a_card_number_is_right_exactly_with_its_check_digit(body, last) -> None:
    assert is_card("62" + body[:13] + last) == (last == luhn("62" + body[:13]))


@given(st.integers(0, 16), st.sampled_from("0123456789ABCDEFGHJKLMNPQRTUWXY"))
@settings(max_examples=200)
def test_a_credit_code_with_one_character_changed_is_wrong(place, char) -> None:
    code = "91350100M000100Y43"
    changed = code[:place] + char + code[place + 1 :]
    assert is_credit_code(changed) == (changed == code)


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text_gives_spans_in_order_within_it(text) -> None:
    spans = find(text)
    assert spans == sorted(spans, key=lambda span: span.start)
    assert all(0 <= span.start < span.end <= len(text) for span in spans)
    assert 0 <= open_from(text) <= len(text)
