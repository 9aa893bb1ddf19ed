"""Passwords: what one must be, and the hash that stands for one.

Hashes are argon2id with the second recommendation of RFC 9106 (3 passes, 64 MiB, 4 lanes). A password is brought to Unicode's
form NFKC first, so that one typed in full-width letters is the same.
"""

import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from pilotbase.domain.problem import Problem

__all__ = ["LONGEST", "SHORTEST", "hash_password", "holds", "problems", "stale", "suggested"]

SHORTEST: Final = 10
LONGEST: Final = 200

# Hashing takes memory on purpose: so many at once, and the others wait.
_TURNS: Final = threading.BoundedSemaphore(4)
_HASHER: Final = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_CLEAR: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_EDGES: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")

_COMMON: Final = """
    0123456789 1234567890 12345678910 123456789a 0987654321 9876543210 1122334455 1234512345 123123123123 123456123456
    1q2w3e4r5t 1q2w3e4r5t6y 1qaz2wsx3edc zaq12wsxcde3 qazwsxedcrfv qazwsxedc123 q1w2e3r4t5 a1b2c3d4e5 abc1234567 asdf1234asdf
    qwer1234qwer 1234qwerasdf passwordpassword adminadmin 5201314520 1314520520 woaini1314520 woaini5201314 123woaini123
"""
"""Common ones that are long enough, in small letters."""
_STEMS: Final = """
    a aa aaa abc abcd abcde abcdef abcdefg abcdefgh abcdefghij admin administrator apple asdf asdfgh asdfghjk asdfghjkl baseball
    changeme computer default dragon football guest hello hospital iloveyou letmein login master monkey operator pass passw0rd
    password p@ssw0rd p@ssword pilot pilotbase princess q qq qaz qazwsx qwe qwer qwert qwerty qwertyui qwertyuiop root
    secret sunshine superman superuser system temp test testtest user welcome zxc zxcv zxcvbn zxcvbnm
    beijing guanli guanliyuan guangzhou jintian mima mingtian nihao nihaoma renmin shanghai shenzhen woaini woaiwo woaiwojia
    woaizhongguo wodemima women xiaoming xitong yiyuan yonghu zhangsan lisi wangwu zhongguo zhonghua wangluo anquan caonima
"""
"""Common words, which stay easy to guess with digits and signs before or behind them."""


def problems(password: str, *, login: str = "", name: str = "") -> Iterator[Problem]:
    """What is wrong with a password that somebody wants to have."""
    password = unicodedata.normalize("NFKC", password)
    if len(password) < SHORTEST:
        yield Problem(("password",), "the password is too short", "use at least 10 characters; a few words together are good")
        return
    if len(password) > LONGEST:
        yield Problem(("password",), "the password is too long", "use at most 200 characters")
        return
    small = password.casefold().strip()
    stem = _EDGES.sub("", small)
    own = {_plain(login), _plain(login.partition("@")[0]), _plain(name)} - {""}
    if _plain(password) in own or _plain(stem) in own:
        hint = "choose one that does not come from the login or the name"
        yield Problem(("password",), "the password is the login or the name", hint)
    elif small in _COMMON.split() or stem in _STEMS.split() or len(set(small)) < 4:
        yield Problem(("password",), "the password is one that many people use", "choose one that others would not guess")


def suggested() -> str:
    """A new random password of 99 bits, in groups and without letters that look alike."""
    return "-".join("".join(secrets.choice(_CLEAR) for _ in range(5)) for _ in range(4))


def hash_password(password: str) -> str:
    """What is kept of a password: an argon2id hash with its salt and parameters."""
    with _TURNS:
        return _HASHER.hash(_bytes(password))


def holds(stored: str, password: str) -> bool:
    """Whether `stored` is the hash of this password. Where nothing usable is stored it takes as long, and holds not."""
    try:
        with _TURNS:
            _HASHER.verify(stored, _bytes(password[:LONGEST]))
    except InvalidHashError:
        hash_password(password[:LONGEST])
        return False
    except VerificationError:
        return False
    return len(password) <= LONGEST


def stale(stored: str) -> bool:
    """Whether a hash was made with other parameters than those of now."""
    return _HASHER.check_needs_rehash(stored)


def _plain(text: str) -> str:
    """Letters and digits alone, in small letters."""
    return "".join(one for one in unicodedata.normalize("NFKC", text).casefold() if one.isalnum())


def _bytes(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
