"""What an uploaded pilot may reach."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotbase.domain.bounds import Bounds, file_problems, refused_address, url_problems


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "2001:db8::1",
        "localhost", "",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert refused_address(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"])
def test_a_public_address_is_not(address: str) -> None:
    assert refused_address(address) is None


@given(st.ip_addresses(v=4))
def test_an_address_carried_in_another_counts_as_itself(address: IPv4Address) -> None:
    number = f"{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"
    plain = bool(refused_address(str(address)))
    assert [bool(refused_address(f"{around}{number}")) for around in ("::ffff:", "64:ff9b::", "64:ff9b:1::")] == [plain] * 3
    assert bool(refused_address(f"2002:{number}::")) == plain


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1", "http://[::1]/v1", "http://169.254.169.254/latest", "http://user@1.1.1.1/",
        "http://1.1.1.1\\@x/",
        "http://a b/", "ftp://1.1.1.1/", "http://x#y", "http:///v1", "http://[fd00::1]:80/",
    ],
)  # fmt: skip
def test_an_address_that_is_private_or_not_written_plainly_is_told_at_its_word(url: str) -> None:
    found = list(url_problems(Bounds(), url, None))
    assert [one.path for one in found] == [("url",)]


def test_a_host_that_the_operator_names_may_be_called_with_its_port_or_any() -> None:
    bounds = Bounds(hosts=("127.0.0.1:8000", "models.internal"))
    assert not list(url_problems(bounds, "http://127.0.0.1:8000/v1", None))
    assert list(url_problems(bounds, "http://127.0.0.1:8001/v1", None))
    assert bounds.allows_host("MODELS.internal.", 9) and not bounds.allows_host("models.internal.example", 9)


def test_a_key_goes_to_its_own_host_alone_and_settings_of_the_base_to_nobody() -> None:
    bounds = Bounds(variables=("CHAT_KEY@api.example.com", "REGION", "PILOTBASE_PEPPER", "PILOTBASE_PEPPER@x.example"))
    assert not list(url_problems(bounds, "https://api.example.com/v1", "CHAT_KEY"))
    for url, key in (
        ("https://evil.example/v1", "CHAT_KEY"),
        ("https://api.example.com.evil.example/v1", "CHAT_KEY"),
        ("https://api.example.com/v1", "REGION"),
        ("https://x.example/", "PILOTBASE_PEPPER"),
        (None, "CHAT_KEY"),
    ):
        assert [one.path for one in url_problems(bounds, url, key)] == [("key-env",)], (url, key)
    assert bounds.allows_variable("REGION") and not bounds.allows_variable("CHAT_KEY")
    assert not bounds.allows_variable("PILOTBASE_PEPPER") and bounds.names == {"CHAT_KEY", "REGION"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.csv", "a/../../x", "C:\\x", "..\\x", "a\0b"])
def test_a_file_outside_of_the_pilot_is_told(name: str) -> None:
    assert [one.path for one in file_problems(name, "data", "path")] == [("data", "path")]
    assert not list(file_problems("data/x.csv", "data", "path"))
