"""What a password must be, and its hash."""

import pytest
from argon2 import PasswordHasher

from pilotbase.accounts.passwords import hash_password, holds, problems, stale, suggested


def told(password: str, login: str = "li.ming@base.example", name: str = "李明") -> list[str]:
    return [problem.message for problem in problems(password, login=login, name=name)]


@pytest.mark.parametrize(
    "password", ["four plain words here", "苹果树下有三只小猫咪", "x7%Kp2!vQz", "z" * 99 + "abc" + "y" * 98, "liming loves tea 7"]
)
def test_a_good_password_is_taken(password: str) -> None:
    assert told(password) == []


def test_length_is_counted_in_characters() -> None:
    assert told("短密码九个字在这里") == ["the password is too short"]
    assert told("ab7!" * 51) == ["the password is too long"] and told("ab7!" * 50) == []


@pytest.mark.parametrize("password", ["li.ming@base.example", "LI.MING@BASE.EXAMPLE", "li.ming2026!", "li.ming@base.example1"])
def test_the_login_with_or_without_digits_is_refused(password: str) -> None:
    assert told(password) == ["the password is the login or the name"]


def test_the_name_is_refused() -> None:
    assert told("Wang Xiaoming", name="Wang Xiaoming") == ["the password is the login or the name"]
    assert told("wangxiaoming88", name="Wang Xiaoming") == ["the password is the login or the name"]


@pytest.mark.parametrize(
    "password",
    ["1234567890", "password123", "Passw0rd!!!", "qwertyuiop", "Admin@2026", "woaini1314520", "WOAINI520520", "zhongguo2026",
     "guanliyuan1", "ａｄｍｉｎ１２３４５", "1111111111", "ababababab", "!!!!!!!!!!", "nihao!!!!!!", "1qaz2wsx3edc"],
)  # fmt: skip
def test_one_that_many_use_is_refused_in_english_and_pinyin(password: str) -> None:
    assert told(password) == ["the password is one that many people use"]


def test_a_hash_is_argon2id_of_the_second_recommendation_and_holds_for_its_password_alone() -> None:
    stored = hash_password("four plain words")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$") and not stale(stored)
    assert holds(stored, "four plain words") and not holds(stored, "four plain word")
    assert holds(stored, "ｆｏｕｒ plain words"), "full-width letters are the same letters"
    assert stored != hash_password("four plain words"), "each has a salt of its own"


def test_nothing_holds_where_no_usable_hash_is_kept_and_odd_texts_are_no_errors() -> None:
    assert not holds("", "four plain words") and not holds("$argon2id$broken", "four plain words")
    stored = hash_password("x" * 200)
    assert holds(stored, "x" * 200) and not holds(stored, "x" * 201) and not holds(stored, "\ud800\0")


def test_a_hash_of_other_parameters_holds_and_is_stale() -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("four plain words")
    assert holds(old, "four plain words") and stale(old)


def test_a_suggested_password_is_good_and_another_each_time() -> None:
    first, second = suggested(), suggested()
    assert first != second and told(first) == [] and len(first) == 23
