"""What passes between a caller and an upstream, and what does not."""

from hypothesis import given
from hypothesis import strategies as st

from pilotbase.gateway.headers import FORWARDED, PLAIN, RETURNED, forwarded, returned

SECRET = [
    (b"authorization", b"Bearer pb_me"),
    (b"cookie", b"a=b"),
    (b"host", b"gateway"),
    (b"connection", b"keep-alive"),
    (b"te", b"trailers"),
    (b"transfer-encoding", b"chunked"),
    (b"content-length", b"3"),
    (b"forwarded", b"for=1.2.3.4"),
    (b"x-forwarded-for", b"1.2.3.4"),
    (b"x-real-ip", b"1.2.3.4"),
    (b"proxy-authorization", b"Basic x"),
    (b"user-agent", b"OpenAI/Python"),
    (b"x-stainless-os", b"Linux"),
    (b"accept-encoding", b"gzip, br"),
    (b"api-key", b"k"),
    (b"expect", b"100-continue"),
]


def test_credentials_addresses_and_hop_by_hop_headers_never_go_on() -> None:
    sent = forwarded(SECRET, PLAIN | {"Authorization": "Bearer ours"})
    assert sent == {"User-Agent": "pilotbase", "Accept-Encoding": "identity", "Authorization": "Bearer ours"}


def test_the_type_of_the_content_and_the_trace_go_on() -> None:
    asked = [
        (b"content-type", b"application/json"),
        (b"accept", b"text/event-stream"),
        (b"openai-beta", b"x=v1"),
        (b"traceparent", b"00-1"),
    ]
    assert forwarded(asked, {}) == {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "OpenAI-Beta": "x=v1",
        "traceparent": "00-1",
    }


def test_of_a_repeated_header_one_goes_on() -> None:
    assert forwarded([(b"accept", b"a"), (b"accept", b"b")], {}) == {"Accept": "b"}


def test_what_a_route_sets_for_its_upstream_wins() -> None:
    assert forwarded([(b"openai-beta", b"mine")], {"OpenAI-Beta": "theirs"}) == {"OpenAI-Beta": "theirs"}


def test_cookies_places_and_limits_of_an_upstream_never_come_back() -> None:
    came = [
        (b"Server", b"uvicorn"),
        (b"Set-Cookie", b"a=b"),
        (b"Location", b"http://10.0.0.1/"),
        (b"Via", b"1.1 inner"),
        (b"x-ratelimit-remaining-tokens", b"3"),
        (b"X-Request-Id", b"req_theirs"),
        (b"Retry-After", b"3"),
        (b"Connection", b"close"),
        (b"Content-Length", b"10"),
        (b"Content-Type", b"application/json"),
        (b"Content-Disposition", b"attachment"),
        (b"OpenAI-Processing-MS", b"12"),
    ]
    assert returned(came) == [
        (b"content-type", b"application/json"),
        (b"content-disposition", b"attachment"),
        (b"openai-processing-ms", b"12"),
    ]


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20))
def test_nothing_passes_that_is_not_on_a_list(headers: list[tuple[bytes, bytes]]) -> None:
    assert set(forwarded(headers, {})) <= set(FORWARDED.values())
    assert {name for name, _ in returned(headers)} <= RETURNED
