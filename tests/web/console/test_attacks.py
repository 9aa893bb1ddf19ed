"""The console under attack: forged requests, hostile texts, stolen and fixed sessions, guessing, and what must not get out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from httpx2 import Response
from tests.fakes.console_home import EVIL, Furnished, furnish, furnish_token, hostile
from tests.fakes.console_server import COOKIE, PASSWORD, Client, ConsoleServer, path_of, seen

from pilotbase.accounts import members
from pilotbase.console.contents import PAGES
from pilotbase.console.page import Page
from pilotbase.domain.account import Member, may

QUERIES = (
    *("q", "before", "after", "who", "action", "subject", "route", "state", "pilot", "verdict", "period", "days", "next", "form"),
    *("confidence", "left", "right", "candidate", "kind", "severity", "run", "a", "b", "with", "cursor", "note", "case"),
)
WORST = "'\"></title><evil-query evil-q=1>{{7*7}}%(x)s\r\nSet-Cookie: evil=1"


@dataclass
class Attacked:
    """A base whose people typed hostile texts wherever they could, with an operator and an engineer."""

    server: ConsoleServer
    furnished: Furnished
    operator: Member
    engineer: Member
    places: Mapping[str, str]

    def client(self) -> Client:
        return self.server.signed_in(self.operator)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    furnished = furnish(tmp_path_factory.mktemp("attacks"), hostile)
    with ConsoleServer(furnished.home, furnished.time) as server:
        operator = server.member("operator@base.example", "operator", name=hostile("operator"))
        engineer = server.member("engineer@base.example", "engineer", name=hostile("engineer"))
        texts = [furnish_token(server.context, one, hostile) for one in (operator, engineer)]
        furnished = replace(furnished, secrets=(*furnished.secrets, *texts))
        places = {**furnished.places, "member": engineer.id, "organisation": engineer.organisation}
        yield Attacked(server=server, furnished=furnished, operator=operator, engineer=engineer, places=places)


def name_of(base: Attacked, member: Member) -> str:
    found = members.find(base.server.context.database, member.id)
    assert found is not None
    return found.name


# Requests that another site makes a browser send.


def test_a_form_without_the_sessions_token_changes_nothing(base: Attacked) -> None:
    other = base.server.signed_in(base.engineer)
    for token in (None, "", "x" * 40, other.csrf, base.client().csrf):
        client = base.client()
        for page in PAGES:
            for act in page.acts:
                if not may(base.operator, page.permit):
                    continue
                before = base.server.audited()
                fields = {"act": act, "reason": "because", "why": "because", "name": "Forged", "language": "en", "theme": "dark"}
                answer = client.post(path_of(page.path, base.places), fields if token is None else {**fields, "csrf": token})
                assert answer.status_code == 403, (page.name, act, token)
                assert base.server.audited() == before, (page.name, act)
    assert name_of(base, base.operator) == hostile("operator")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example", None])
def test_a_form_from_another_site_is_refused_even_with_the_token(base: Attacked, origin: str | None) -> None:
    client, before = base.client(), base.server.audited()
    for page in PAGES:
        for act in page.acts:
            answer = client.post(path_of(page.path, base.places), {"csrf": client.csrf, "act": act, "why": "x"}, origin=origin)
            assert answer.status_code == 403, (page.name, act)
    answer = client.post("/console/sign-out", {"csrf": client.csrf, "act": "sign-out"}, origin=origin)
    assert answer.status_code == 403
    assert base.server.audited() == before
    assert client.get("/console").status_code == 200


def test_a_referer_of_the_same_host_does_where_a_browser_sends_no_origin(base: Attacked) -> None:
    client = base.client()
    fields = {"csrf": client.csrf, "act": "no-such-act"}
    assert client.post("/console/own", fields, origin=None, Referer=f"{client.url}/console/own").status_code != 403
    assert client.post("/console/own", fields, origin=None, Referer="https://evil.example/console/own").status_code == 403
    assert client.post("/console/own", fields, origin=None, Referer=f"https://evil.example/{client.url}").status_code == 403


def test_reading_pages_changes_nothing(base: Attacked) -> None:
    client, before = base.client(), base.server.audited()
    for page in PAGES:
        path = path_of(page.path, base.places)
        for act in page.acts:
            client.get(f"{path}?act={act}&csrf={client.csrf}&why=because")
        assert client.http.request("HEAD", path).status_code in (200, 303, 405)
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
            assert client.http.request(method, path).status_code in (403, 404, 405), (page.name, method)
    assert base.server.audited() == before


# Hostile texts.


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_hostile_texts_are_shown_as_text(base: Attacked, page: Page) -> None:
    language = ("en", "zh")[PAGES.index(page) % 2]  # the texts are the same in both
    client = base.client()
    path = path_of(page.path, base.places)
    client.post("/console/look", {"csrf": client.csrf, "language": language})
    check_clean(client.get(path).text)
    for query in QUERIES:
        answer = client.http.get(path, params={query: WORST})
        assert answer.status_code < 500, query
        assert "evil" not in " ".join(answer.headers.keys())
        assert "evil" not in answer.headers.get("set-cookie", "")
        check_clean(answer.text)


def test_the_hostile_texts_are_there_to_be_seen(base: Attacked) -> None:
    client = base.client()
    everything = "".join(seen(client.get(path_of(page.path, base.places)).text).text for page in PAGES)
    found = set(re.findall(rf"<{EVIL}([a-z-]+) a>", everything))
    # Where one of these is on no page any more, the test above proves nothing about it.
    assert found >= {"operator", "engineer", "key", "stop", "title", "bearer", "group", "container"}, found


@pytest.mark.parametrize("page", [page for page in PAGES if page.acts], ids=[page.name for page in PAGES if page.acts])
def test_a_refused_form_shows_what_was_filled_in_as_text(base: Attacked, page: Page) -> None:
    client = base.client()
    path = path_of(page.path, base.places)
    fields = {name: WORST for form in seen(client.get(path).text).forms for name in form.fields}
    for act in page.acts:
        if act in ("everywhere", "sign-out"):
            continue
        answer = client.post(path, {**fields, "csrf": client.csrf, "act": act})
        assert answer.status_code < 500, act
        assert "evil" not in answer.headers.get("set-cookie", "")
        assert "\n" not in answer.headers.get("location", "")
        check_clean(answer.text)


def check_clean(page: str) -> None:
    """No hostile text of the page became markup, was cut out, or was worked out as a template."""
    parts = seen(page)
    assert not [tag for tag in parts.tags if tag.startswith(EVIL)]
    assert not [name for name in parts.attributes if name.startswith((EVIL, "evil", "on"))]
    assert "style" not in parts.tags and "style" not in parts.attributes
    assert not [link for link in parts.links if not re.match(r"/|#|\?|data:(?:text|application)/|https://", link)]
    assert not [source for source in parts.sources if not source.startswith("/console/static/")]
    assert not [form.action for form in parts.forms if form.action and not re.match(r"/console|\?", form.action)]
    assert "{{49" not in page
    assert "KeyError" not in parts.text
    assert "Traceback" not in parts.text


# Headers and cookies.


def test_every_answer_has_a_strict_policy(base: Attacked) -> None:
    client = base.client()
    for answer in (client.get("/console"), client.get("/console/nothing"), base.server.visitor().get("/console/sign-in"),
                   client.post("/console/own", {"act": "x"}), base.server.visitor().get("/console")):  # fmt: skip
        policy = answer.headers["content-security-policy"]
        parts = dict(part.strip().split(" ", 1) for part in policy.split(";") if part.strip())
        assert parts["default-src"] == "'none'"
        assert parts["script-src"] == parts["style-src"] == "'self'"
        assert parts["frame-ancestors"] == parts["base-uri"] == "'none'"
        assert parts["form-action"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "no-store" in answer.headers["cache-control"]
        assert "access-control-allow-origin" not in answer.headers


def sign_in(client: Client, login: str, password: str, **headers: str) -> Response:
    return client.post("/console/sign-in", {"login": login, "password": password}, **headers)


def test_signing_in_makes_a_new_session_and_the_cookie_is_out_of_scripts_reach(base: Attacked) -> None:
    client = base.server.visitor()
    planted = "planted-by-somebody-else"
    client.http.cookies.set(COOKIE, planted)
    answer = sign_in(client, "operator@base.example", PASSWORD)
    assert answer.status_code == 303
    told = [line for line in answer.headers.get_list("set-cookie") if line.startswith(COOKIE)]
    assert len(told) == 1
    words = {word.strip().lower() for word in told[0].split(";")}
    assert {"httponly", "samesite=lax", "path=/console"} <= words
    assert "secure" not in words and not [word for word in words if word.startswith("domain")]
    token = told[0].split(";")[0].split("=", 1)[1]
    assert token != planted and len(token) >= 32
    again = base.server.visitor()
    again.http.cookies.set(COOKIE, token)
    assert again.get("/console").status_code == 200
    thief = base.server.visitor()
    thief.http.cookies.set(COOKIE, planted)
    assert thief.get("/console").status_code == 303


def test_signing_in_again_ends_the_session_that_was_there(base: Attacked) -> None:
    client = base.client()
    old = client.cookie()
    assert sign_in(client, "operator@base.example", PASSWORD).status_code == 303
    thief = base.server.visitor()
    thief.http.cookies.set(COOKIE, str(old))
    assert thief.get("/console").status_code == 303


def test_signing_out_ends_the_session_on_the_server(base: Attacked) -> None:
    client = base.client()
    token = client.cookie()
    assert client.post("/console/sign-out", {"csrf": client.csrf, "act": "sign-out"}).status_code == 303
    thief = base.server.visitor()
    thief.http.cookies.set(COOKIE, str(token))
    assert thief.get("/console").status_code == 303


def test_the_cookie_is_sent_over_tls_alone_where_the_base_is_reached_by_it(tmp_path: Path) -> None:
    with ConsoleServer(tmp_path / "home", public_url="https://base.example") as server:
        server.member("li@base.example", "operator")
        client = server.visitor()
        form = next(one for one in seen(client.get("/console/sign-in").text).forms if "password" in one.fields)
        fields = {**form.fields, "login": "li@base.example", "password": PASSWORD}
        # Behind a proxy that ends TLS the browser's origin is the public one.
        cookies = [f"{name}={value}" for name, value in client.http.cookies.items()]
        for answer in (
            client.post(
                "/console/sign-in", fields, origin="https://base.example", Host="base.example", Cookie="; ".join(cookies)
            ),
        ):
            assert answer.status_code == 303
            assert "secure" in answer.headers["set-cookie"].lower()


# Where one is led.


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "/console/../..//evil.example",
     "javascript:alert(1)",
     "/console\r\nSet-Cookie: evil=1", "/console@evil.example", "http:evil.example",
     " //evil.example", "/%2f%2fevil.example", "/api/v1/keys"],
)  # fmt: skip
def test_signing_in_leads_to_no_other_place_than_the_console(base: Attacked, target: str) -> None:
    client = base.server.visitor()
    page = client.http.get("/console/sign-in", params={"next": target})
    check_clean(page.text)
    form = next(one for one in seen(page.text).forms if "password" in one.fields)
    fields = {**form.fields, "login": "operator@base.example", "password": PASSWORD, "next": target}
    answer = client.post("/console/sign-in", fields)
    assert answer.status_code == 303
    place = answer.headers["location"]
    assert re.fullmatch(r"/console(/[A-Za-z0-9._~/%:-]*)?(\?[^\r\n]*)?", place), place
    assert ".." not in place
    assert "evil" not in answer.headers.get_list("set-cookie")


# Guessing.


def test_an_unknown_login_and_a_wrong_password_are_told_the_same(tmp_path: Path) -> None:
    with ConsoleServer(tmp_path / "home") as server:
        server.member("li@base.example", "operator")
        gone = server.member("gone@base.example", "engineer")
        members.disable(server.context.database, gone.id, version=gone.version, who="test", now=server.time.now())
        told = []
        for login, password in (
            ("li@base.example", "wrong-password-1"),
            ("nobody@base.example", "wrong-password-1"),
            ("gone@base.example", PASSWORD),
        ):
            client = server.visitor()
            form = next(one for one in seen(client.get("/console/sign-in").text).forms if "password" in one.fields)
            answer = client.post("/console/sign-in", {**form.fields, "login": login, "password": password})
            told.append((answer.status_code, answer.text.replace(login, "LOGIN").replace(form.fields.get("csrf", "-"), "T")))
        assert told[0][0] in (401, 422)
        assert len({status for status, _ in told}) == 1
        assert len({re.sub(r'value="[^"]*"', "", text) for _, text in told}) == 1
        assert all(password not in text for _, text in told for password in ("wrong-password-1", PASSWORD))


def test_guessing_is_slowed_and_then_even_the_right_password_has_to_wait(tmp_path: Path) -> None:
    with ConsoleServer(tmp_path / "home") as server:
        server.member("li@base.example", "operator")

        def guess(password: str, **headers: str) -> int:
            client = server.visitor()
            form = next(one for one in seen(client.get("/console/sign-in").text).forms if "password" in one.fields)
            fields = {**form.fields, "login": "li@base.example", "password": password}
            answer = client.post("/console/sign-in", fields, **headers)
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) > 0
            return answer.status_code

        # Another address in every request: what the client says of itself counts for nothing where a login is guessed.
        tried = [guess(f"guess-number-{i}", X_Forwarded_For=f"10.0.0.{i}") for i in range(25)]
        assert 429 in tried
        assert tried[-1] == 429
        assert guess(PASSWORD) == 429
        server.time.passes(24 * 3600)
        assert guess(PASSWORD) == 303


# Set-up.


def test_a_base_is_set_up_once_and_only_with_the_code(tmp_path: Path) -> None:
    with ConsoleServer(tmp_path / "home") as server:
        client = server.visitor()
        page = client.get("/console/set-up")
        assert page.status_code == 200
        assert server.code and server.code not in page.text
        form = next(one for one in seen(page.text).forms if "password" in one.fields)
        good = {"login": "li@base.example", "name": "Li", "organisation": "Base", "password": PASSWORD}
        repeat = {name: PASSWORD for name in form.fields if name.startswith(("password", "repeat", "again"))}
        for wrong in ("", "wrong", server.code[:-1], server.code + "x"):
            answer = client.post("/console/set-up", {**form.fields, **good, **repeat, "code": wrong})
            assert answer.status_code in (401, 403, 422, 429), wrong
            assert not members.list_members(server.context.database)
        server.time.passes(24 * 3600)
        answer = client.post("/console/set-up", {**form.fields, **good, **repeat, "code": server.code})
        assert answer.status_code == 303, answer.text
        assert [member.login for member in members.list_members(server.context.database)] == ["li@base.example"]
        second = server.visitor()
        assert second.get("/console/set-up").status_code in (303, 404)
        answer = second.post(
            "/console/set-up", {**form.fields, **good, **repeat, "login": "zhang@evil.example", "code": server.code}
        )
        assert answer.status_code in (303, 403, 404)
        assert len(members.list_members(server.context.database)) == 1


def test_nothing_but_the_set_up_is_there_before_it_was_done(tmp_path: Path) -> None:
    with ConsoleServer(tmp_path / "home") as server:
        visitor = server.visitor()
        for page in PAGES:
            if "{" not in page.path:
                assert visitor.get(page.path).status_code == 303, page.name


# Files, sizes and shapes.


@pytest.mark.parametrize(
    "name",
    ["../app.py", "..%2fapp.py", "%2e%2e/%2e%2e/settings.py", "..\\app.py", "....//app.py", "/etc/passwd", "%00",
     "console.css%00.js", "", ".", "..", "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd", "console.css/../../pages/own.py"],
)  # fmt: skip
def test_only_the_consoles_own_files_are_served(base: Attacked, name: str) -> None:
    status, body = base.server.raw("GET", f"/console/static/{name}")
    assert status in (303, 400, 404), (name, status)
    assert b"import" not in body
    assert b"root:" not in body


def test_forms_that_are_too_large_or_make_no_sense_are_refused(base: Attacked) -> None:
    client, before = base.client(), base.server.audited()
    form = f"csrf={client.csrf}&act=no-such-act".encode()
    assert client.post("/console/own", form + b"&name=" + b"x" * (4 * 1024 * 1024)).status_code == 413
    for body in (form + b"&a=1" * 20_000, b"\xff\xfe\x00", b"%", b"&&&===", form + b"&name=%ff%fe%00", b"csrf[]=1&act[]=2", b""):
        assert client.post("/console/own", body).status_code in (400, 403, 404, 413, 422), body[:40]
    for kind in (
        "application/json",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "application/xml",
        "\x01",
    ):
        assert client.post("/console/own", form, Content_Type=kind).status_code in (400, 403, 404, 413, 415, 422), kind
    assert base.server.audited() == before
    assert client.get("/console").status_code == 200


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 5000, "../../etc", "%00", "'; DROP TABLE sessions; --", '"quoted"'])
def test_a_cookie_that_is_none_is_nobody(base: Attacked, token: str) -> None:
    status, _ = base.server.raw("GET", "/console", f"Cookie: {COOKIE}={token}")
    assert status in (303, 400)


@pytest.mark.parametrize("page", [page for page in PAGES if "{" in page.path], ids=lambda page: page.name)
def test_an_address_that_names_nothing_is_told_so(base: Attacked, page: Page) -> None:
    client = base.client()
    for name in (
        "nothing",
        "..",
        "%2e%2e",
        "%00",
        "a" * 3000,
        "%F0%9F%92%A9",
        "%ff",
        "1' OR '1'='1",
        "<evil-path>",
        "-1",
        "%0d%0aSet-Cookie:evil",
    ):
        path = re.sub(r"\{\w+(?::\w+)?\}", name, page.path, count=1)
        status, body = base.server.raw("GET", path_of(path, base.places), f"Cookie: {COOKIE}={client.cookie()}")
        assert status in (303, 400, 404, 414), (name, status)
        assert b"<evil" not in body


# What must not get out.


def test_no_page_no_log_and_no_address_holds_a_secret(base: Attacked, capfd: pytest.CaptureFixture[str]) -> None:
    client = base.server.visitor()
    assert sign_in(client, "operator@base.example", PASSWORD).status_code == 303
    token = str(client.cookie())
    stored = base.server.context.database.rows("SELECT password FROM members")
    secrets = [*base.furnished.secrets, PASSWORD, token, *[str(row["password"]) for row in stored]]
    for page in PAGES:
        answer = client.get(path_of(page.path, base.places))
        for secret in secrets:
            assert secret not in answer.text, page.name
            assert secret not in answer.headers.get("location", ""), page.name
    written = "".join(capfd.readouterr())
    everything = [str(dict(row)) for row in base.server.context.database.rows("SELECT * FROM audit")]
    everything += [str(dict(row)) for row in base.server.context.database.rows("SELECT * FROM sessions")]
    for secret in (PASSWORD, token):
        assert secret not in written
        assert not [line for line in everything if secret in line]


def test_a_fault_tells_its_number_and_nothing_else(base: Attacked) -> None:
    client = base.client()
    base.server.context.database.execute("UPDATE incidents SET document = '{' WHERE id = ?", (base.places["incident"],))
    answers = [client.get(path_of(page.path, base.places)) for page in PAGES if page.name.startswith("incident")]
    for answer in answers:
        for word in ("Traceback", "JSONDecodeError", "sqlite", str(base.furnished.home), "site-packages"):
            assert word not in answer.text
        assert "content-security-policy" in answer.headers
