"""Check characters of Chinese identifiers and of payment cards."""

from datetime import date

__all__ = ["is_card", "is_credit_code", "is_resident_id"]

PROVINCES = frozenset(
    str(code)
    for first, last in ((11, 15), (21, 23), (31, 37), (41, 46), (50, 54), (61, 65), (71, 71), (81, 83))
    for code in range(first, last + 1)
)
"""The first two digits of GB/T 2260 codes; 81 to 83 stand on the residence permits of Hong Kong, Macao and Taiwan residents."""
_WEIGHTS_ID = tuple(pow(2, 17 - i, 11) for i in range(17))
_CHECK_ID = "10X98765432"
_CODE = {c: i for i, c in enumerate("0123456789ABCDEFGHJKLMNPQRTUWXY")}
_WEIGHTS_CODE = tuple(pow(3, i, 31) for i in range(17))
_CARD_PREFIXES = ("4", "51", "52", "53", "54", "55", "35", "60", "62", "64", "65", "81", "82", "9558")
_TWICE = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def is_resident_id(number: str) -> bool:
    """Whether 18 characters are a resident identity number: known province, real date of birth, right check character.

    Source: GB 11643-1999; the check character is that of ISO 7064 MOD 11-2 (`X` stands for ten).
    """
    if len(number) != 18 or not number[:17].isascii() or not number[:17].isdigit() or number[:2] not in PROVINCES:
        return False
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(c) * w for c, w in zip(number, _WEIGHTS_ID, strict=False))
    return 1850 <= born.year < 2100 and number[17].upper() == _CHECK_ID[total % 11]


def is_credit_code(code: str) -> bool:
    """Whether 18 characters are a unified social credit code: its character set, a known province, the right check character.

    Source: GB 32100-2015: C18 = 31 - MOD(sum of Ci * Wi, 31), Wi = MOD(3^(i-1), 31), the letters I, O, S, V and Z left out.
    """
    code = code.upper()
    if len(code) != 18 or any(c not in _CODE for c in code) or code[0] == "0" or not code[2:8].isdigit() or not _in_china(code):
        return False
    total = sum(_CODE[c] * w for c, w in zip(code, _WEIGHTS_CODE, strict=False))
    return _CODE[code[17]] == (31 - total % 31) % 31


def _in_china(code: str) -> bool:
    # 10 begins the code of registers that are kept for the whole country.
    return code[2:4] in PROVINCES or code[2:4] == "10"


def is_card(number: str) -> bool:
    """Whether 16 to 19 digits are the number of a payment card: a prefix in use, and the right check digit.

    Source: ISO/IEC 7812-1, annex B (Luhn); prefixes as issued by UnionPay, Visa, Mastercard and JCB. Only UnionPay's are longer
    than 16 digits.
    """
    if not 16 <= len(number) <= 19 or not number.isascii() or not number.isdigit() or not number.startswith(_CARD_PREFIXES):
        return False
    if len(number) > 16 and number[0] in "35":
        return False
    digits = [int(c) for c in reversed(number)]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(_TWICE[d] for d in digits[1::2])) % 10 == 0
