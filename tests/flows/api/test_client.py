"""The client: it knows every operation, tells what the base answers, and does nothing twice."""

import ast
import dataclasses
import re
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.api import api_of
from tests.fakes.api_server import ApiServer
from tests.fakes.console_home import Furnished, furnish
from tests.fakes.workspaces import pilot_files

import pilotbase.client
from pilotbase.client import catalogue_results, results
from pilotbase.client.client import Client
from pilotbase.client.errors import ApiError, UnreachableError
from pilotbase.client.http import Http
from pilotbase.client.reading import read

ROUTE = {"name": "chat", "upstreams": [{"url": "http://a.example/v1"}]}


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    return furnish(tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def base(furnished: Furnished) -> Iterator[ApiServer]:
    with ApiServer(furnished.home, furnished.time) as server:
        yield server


@pytest.fixture(scope="module")
def client(base: ApiServer) -> Client:
    return base.client("operator")


def refused(call: Any) -> ApiError:
    """The error of a call that the base refuses."""
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


# What it knows.


def calls() -> set[tuple[str, str]]:
    """Every (method, path) that the client's modules ask for, as they are written there."""
    methods = {"get": "GET", "post": "POST", "put": "PUT", "delete": "DELETE", "send": "POST"}
    found = set()
    for path in Path(pilotbase.client.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "_http" in ast.unparse(node.func.value):
                place = node.args[1 if node.func.attr == "walk" else 0]
                assert isinstance(place, ast.Constant), ast.unparse(node)
                found.add((methods.get(node.func.attr, "GET"), f"/api/v1{place.value}"))
    return found


def test_the_client_knows_every_operation_and_no_other(tmp_path: Path) -> None:
    with api_of(tmp_path / "home") as api:
        assert calls() == set(api.operations())


def test_the_clients_results_have_the_words_of_the_description(tmp_path: Path) -> None:
    with api_of(tmp_path / "home") as api:
        schemas = api.ask("GET", "/api/openapi.json", key=None).json()["components"]["schemas"]
    names = {
        "Run": "RunLine", "RunRecord": "RunOut", "Candidate": "CandidateOut", "Failures": "CandidateFailures",
        "NewRoute": "RouteAdded", "Key": "KeyOut", "NewKey": "KeyMade", "Stop": "StopOut", "Release": "ReleaseLine",
        "ReleaseRecord": "ReleaseOut", "ReleaseMove": "ReleaseMoved", "Case": "CaseLine", "CaseRecord": "CaseOut",
        "Incident": "IncidentLine", "IncidentRecord": "IncidentOut",
        "Export": "ExportOut", "Organisation": "OrganisationOut", "Member": "MemberOut", "NewMember": "MemberMade",
        "Token": "TokenOut", "Need": "NeedLine", "NeedRecord": "NeedOut", "Capability": "CapabilityLine",
        "CapabilityRecord": "CapabilityOut", "Match": "MatchOut", "Refusal": "RefusalOut", "Matches": "MatchesOut",
        "Figure": "Estimate", "Component": "ComponentOut", "Openness": "OpennessOut",
        "Indicator": "IndicatorLine", "IndicatorRecord": "IndicatorOut", "Point": "PointOut", "Projection": "Projected",
        "Funnel": "FunnelOut", "Pilot": "PilotLine", "PilotRecord": "PilotOut", "Job": "JobLine", "JobRecord": "JobOut",
    }  # fmt: skip
    for module in (results, catalogue_results):
        for name in module.__all__:
            told = {field.name for field in dataclasses.fields(getattr(module, name))}
            assert told == set(schemas[names.get(name, name)]["properties"]), name


def test_the_client_needs_the_standard_library_alone() -> None:
    for path in Path(pilotbase.client.__file__).parent.glob("*.py"):
        imported = re.findall(r"^(?:from|import) (\w+)(?:\.(\w+))?", path.read_text("utf-8"), re.MULTILINE)
        ours = {inner for outer, inner in imported if outer == "pilotbase"}
        assert ours <= {"client"}, path
        assert not {outer for outer, _ in imported} & {"pydantic", "orjson", "aiohttp", "httpx", "requests"}, path


# Stories.


def test_runs_are_listed_read_and_told_by_verdict_and_failures(client: Client, furnished: Furnished) -> None:
    (line,) = list(client.runs)
    record = client.runs.get(line.run)
    assert (line.run, record.pilot, record.state) == (furnished.places["run"], "small", "finished")
    assert [(one.id, one.rows > 0) for one in record.candidates] == [("good", True), ("wrong", True)]
    document = client.runs.verdict(line.run)
    assert document["schema"] == "pilotbase.run/1" and document["verdict"] == line.verdict
    failures = {one.candidate: one.kinds for one in client.runs.failures(line.run)}
    good, wrong = (sum(kind.count for kind in failures[name]) for name in ("good", "wrong"))
    assert 0 < good < wrong and all(kind.category.startswith("wrong: ") for kind in failures["wrong"])
    assert list(client.runs.list(verdict="none")) == []
    error = refused(lambda: client.runs.get("nothing"))
    assert (error.status, "there is no run" in error.detail) == (404, True)


def test_a_release_is_paused_resumed_and_rolled_back_from_the_state_that_was_seen(base: ApiServer, client: Client) -> None:
    (one,) = client.releases.list(under_way=True)
    assert {release.id: release.over for release in client.releases}.get(one.id) is False
    assert client.releases.get(one.id).status["bearer"] == one.bearer
    paused = client.releases.pause(one.id, why="the ward asks", version=one.version)
    assert (paused.about.state, paused.changed) == ("paused", True)
    assert refused(lambda: client.releases.resume(one.id, why="go on", version=one.version)).status == 412
    resumed = client.releases.resume(one.id, why="go on", limits={"people": 5000}, version=paused.about.version)
    assert resumed.about.state == "climbing" and client.releases.get(one.id).status["limits"]["people"] == 5000
    assert refused(lambda: client.releases.promote(one.id, why=" ", version=resumed.about.version)).status == 422
    climbed = client.releases.promote(one.id, why="it is good", version=resumed.about.version)
    assert climbed.about.rung == one.rung + 1
    back = client.releases.rollback(one.id, why="drill")
    assert (back.about.state, back.changed) == ("rolled-back", True)
    assert not client.releases.rollback(one.id, why="drill").changed
    assert refused(lambda: client.releases.pause(one.id, why="late")).status == 409


def test_an_incident_goes_from_its_report_to_its_resolution_and_out(client: Client) -> None:
    found = client.incidents.report("quiet", known={"title": "wrong dose", "severity": 2}, since="2h")
    name = found.about.id
    assert (found.about.state, found.about.title["en"]) == ("open", "wrong dose")
    contained = client.incidents.contain(name, "throttle", note="half the traffic", version=found.about.version)
    assert refused(lambda: client.incidents.resolve(name, cause="x", version=found.about.version)).status == 412
    resolved = client.incidents.resolve(name, cause="a prompt", version=contained.about.version)
    assert resolved.about.state == "resolved" and name in [
        one.id for one in client.incidents.list(route="quiet", state="resolved")
    ]
    for form in ("json", "csv", "atlas", "aiid"):
        assert client.incidents.export(name, form).text  # type: ignore[arg-type]
    near = client.incidents.report("quiet", kind="near-miss")
    assert "operator" not in str(near.document), "of a near miss no name is recorded"


def test_a_need_and_a_capability_are_drafted_changed_published_matched_and_withdrawn(client: Client) -> None:
    words = {"title": "Find nodules", "text": "chest radiographs, lung nodules", "area": "livelihood"}
    check = {"metric": "sensitivity", "require": ">= 0.95"}
    need = client.needs.add(**words, organisation=next(iter(client.organisations)).id)
    assert refused(lambda: client.needs.publish(need.id)).status == 422
    need = client.needs.change(need.id, version=need.version, **words, acceptance=[check])
    assert (need.acceptance[0].require, need.state) == (">= 0.95", "draft")
    assert refused(lambda: client.needs.publish(need.id, version=1)).status == 412
    need = client.needs.publish(need.id, version=need.version)
    offer = client.capabilities.add(title="A reader", text="finds lung nodules", organisation=need.organisation)
    offer = client.capabilities.change(
        offer.id, version=1, title="A reader", text="finds lung nodules", data=["general"], certificates=[{"name": "CE"}]
    )
    assert offer.certificates[0].until is None
    assert client.capabilities.publish(offer.id).state == "published"
    assert {one.id for one in client.capabilities.list(state="published")} > {offer.id}
    assert need.id in [one.id for one in client.needs.list(state="published", area="livelihood")]
    fit = next(one for one in client.needs.matches(need.id).fits if one.entry.id == offer.id)
    assert {"lung", "nodules"} & set(fit.terms) and all(one.met for one in fit.findings)
    assert need.id in [one.entry.id for one in client.capabilities.matches(offer.id, most=20).fits]
    assert client.needs.openness(need.id).known == 1 and client.capabilities.get(offer.id).version == 3
    assert client.capabilities.withdraw(offer.id).state == client.needs.withdraw(need.id).state == "withdrawn"
    assert client.capabilities.reopen(offer.id).state == client.needs.reopen(need.id).state == "draft"
    assert client.needs.get(need.id).published == need.published is not None


def test_an_indicator_is_declared_recorded_corrected_and_told_with_its_projection(client: Client) -> None:
    words = {"numerator": "phones with one", "denominator": "phones", "population": "the province", "source": "counted here"}
    made = client.indicators.declare("Assistants", **words)
    assert made.id in [one.id for one in client.indicators] and client.indicators.get(made.id).points == ()
    assert client.indicators.record(made.id, "2024", numerator=3, denominator=10).share.value == 0.3
    assert client.indicators.record(made.id, "2024", numerator=2, denominator=10).share.value == 0.2
    error = refused(lambda: client.indicators.record(made.id, "2024", numerator=11, denominator=10))
    assert error.status == 422 and "numerator" in error.problems[0]
    found = client.indicators.get(made.id)
    assert [(one.period, one.numerator) for one in found.points] == [("2024", 2)]
    assert [(one.year, one.line, one.expected.value) for one in found.projected] == [(2027, 0.7, None), (2030, 0.9, None)]
    funnel = client.indicators.funnel()
    assert [one.stage for one in funnel.steps][:2] == ["submitted", "screened"] and funnel.steps[0].share is None
    assert funnel.first_verdict.method and funnel.replicated.n >= 0


def test_a_pilot_is_brought_mended_started_stopped_and_a_run_is_sealed(client: Client, furnished: Furnished) -> None:
    files = {name: data.decode() for name, data in pilot_files(name="mine").items()}
    made = client.pilots.add({**files, "pilot.yaml": "pilot: mine\n"})
    assert made.mistakes and refused(lambda: client.pilots.start(made.about.id)).status == 422
    mended = client.pilots.change(made.about.id, {"pilot.yaml": files["pilot.yaml"]}, version=1)
    assert (mended.mistakes, mended.about.version, set(mended.files)) == ((), 2, set(files))
    assert refused(lambda: client.pilots.start(made.about.id, version=1)).status == 412
    old = client.pilots.get(made.about.id, version=1)
    assert (old.spec, old.shown, old.about.version) == ("pilot: mine\n", 1, 2)
    job = client.pilots.start(made.about.id, version=2)
    assert (job.about.kind, job.about.state, job.about.pilot) == ("run", "queued", made.about.id)
    assert made.about.id in [one.id for one in client.pilots] and job.about.id in [one.id for one in client.jobs]
    assert client.jobs.stop(job.about.id).about.over and not client.jobs.get(job.about.id).resumable
    assert refused(lambda: client.jobs.resume(job.about.id)).status == 409
    sealing = client.runs.seal(furnished.places["run"])
    assert (sealing.about.kind, sealing.about.run) == ("dossier", furnished.places["run"])
    assert refused(lambda: client.runs.seal(furnished.places["run"])).status == 409
    going = client.jobs.get(furnished.places["job"])
    assert going.about.state == "running" and going.steps[0]["done"] == 20 and going.notes


def test_members_are_added_given_roles_disabled_and_let_in_again(client: Client) -> None:
    home = client.organisations.add("No. 1 Hospital")
    assert home in list(client.organisations)
    made = client.members.add("wang", name="Wang", organisation=home.id, roles=["vendor"])
    assert made.password and made.password not in repr(made)
    changed = client.members.set_roles(made.about.id, ["owner"], version=made.about.version)
    assert refused(lambda: client.members.disable(made.about.id, version=made.about.version)).status == 412
    gone = client.members.disable(made.about.id, version=changed.version)
    assert gone.disabled and client.members.enable(made.about.id).disabled is None
    assert [one.login for one in client.members.list(organisation=home.id)] == ["wang"]
    assert client.members.get(made.about.id).roles == ("owner",)


def test_tokens_are_listed_and_revoked_and_end_the_client_that_bears_one(base: ApiServer, client: Client) -> None:
    other = base.client("auditor", "audit.read")
    assert refused(other.health).status == 403
    member = next(one for one in client.members if one.login == "auditor")
    (token,) = client.tokens.list(member.id)
    assert (token.scopes, token.state) == (("audit.read",), "active")
    assert [one.action for one in other.audit.list(subject=token.id)] == ["token.create"]
    assert client.tokens.revoke(token.id).state == "revoked"
    assert refused(lambda: list(other.audit)).status == 401


def test_routes_keys_and_stops_are_made_and_taken_back(client: Client) -> None:
    assert client.routes.add(ROUTE).warning is None and client.routes.get("chat")["name"] == "chat"
    assert "chat" in [one["name"] for one in client.routes]
    made = client.keys.create("acme", budget="10 CNY", routes=["chat"], expires="30d", once="this once")
    assert made.key and made.key not in repr(made)
    again = client.keys.create("acme", budget="10 CNY", routes=["chat"], expires="30d", once="this once")
    assert again == results.NewKey(key=None, about=made.about)
    assert client.keys.rotate(made.about.id, keep="10m").key not in (None, made.key)
    assert client.stops.stop("chat", why="drill", kind="route").changed and "chat" in [one.name for one in client.stops]
    assert client.stops.resume("chat", kind="route").changed
    assert client.keys.revoke("acme", why="over").state == "revoked" and made.about.id in [one.id for one in client.keys]
    client.routes.remove("chat", why="over")
    assert refused(lambda: client.routes.get("chat")).status == 404
    assert not client.health().stopped and client.usage.sums("day").by == "day"
    assert not client.usage.reconcile().balanced, "rows that no ledger applied are found"


def test_what_is_wrong_is_told_with_all_its_problems(client: Client) -> None:
    error = refused(lambda: client.routes.add({"name": "a b", "upstreams": [{"url": "x", "colour": 1}], "retries": 99}))
    assert error.status == 422 and len(error.problems) == 4 and all(line in str(error) for line in error.problems)
    for wrong in ("", "base.example", "ftp://base.example", "http://"):
        with pytest.raises(ValueError, match="not the address"):
            Client(wrong, "t")
    with pytest.raises(ValueError, match="timeout"):
        Client("http://base.example", "t", timeout=0)


def test_an_iterator_asks_for_pages_as_they_are_needed(base: ApiServer, client: Client) -> None:
    for i in range(60):
        client.organisations.add(f"organisation {i:02}")
    whole = list(client.audit)
    assert len(whole) == len({one.id for one in whole}) > 60
    newest = client.audit.list()
    assert next(newest) == whole[0]


# What does not come through.


class Faulty:
    """A server that answers what it was told, in order, and keeps what it was asked."""

    def __init__(self, answers: Sequence[tuple[int, bytes, dict[str, str]]]) -> None:
        asked = self.asked = []  # type: list[dict[str, str]]
        left = list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                asked.append({**dict(self.headers), "path": self.path, "body": self.rfile.read(length).decode()})
                status, body, headers = left.pop(0)
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Faulty":
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(30)


HEALTH = b'{"status": "ok", "epoch": 1, "stopped": false, "newer": 1}'
CUT, BUSY = (0, b"", {}), (503, b"", {})
DOING = (409, b'{"title": "Conflict", "detail": "being done"}', {"Retry-After": "7"})


def http(url: str, waits: list[float], tries: int = 3) -> Http:
    return Http(url, "t", timeout=60.0, tries=tries, context=None, proxies={}, pause=waits.append)


def test_a_read_and_a_change_with_a_key_are_tried_again_with_the_same_key() -> None:
    waits: list[float] = []
    with Faulty([CUT, BUSY, (200, HEALTH, {}), CUT, DOING, (200, b"{}", {})]) as server:
        assert read(results.Health, http(server.url, waits).get("/health")).epoch == 1
        http(server.url, waits).post("/stops", {"name": "ALL"})
    assert waits == [0.5, 1.0, 0.5, 7.0]
    keys = {one["Idempotency-Key"] for one in server.asked[3:]}
    assert len(keys) == 1 and {one["body"] for one in server.asked[3:]} == {'{"name": "ALL"}'}


def test_what_could_be_done_twice_is_sent_once() -> None:
    waits: list[float] = []
    with Faulty([CUT, CUT]) as server:
        for call in (lambda: http(server.url, waits).put("/x", {}), lambda: http(server.url, waits).delete("/x")):
            assert isinstance(refused(call), UnreachableError)
    assert (waits, len(server.asked)) == ([], 2)


def test_what_is_no_base_is_told_so_and_a_redirect_is_not_followed() -> None:
    html = (200, b"<html>", {})
    moved = (302, b"", {"Location": "http://127.0.0.1:1/elsewhere"})
    with Faulty([html, moved, (200, b"[]", {}), (200, b'{"status": "ok"}', {}), (404, b"[]", {})]) as server:
        asked = http(server.url, [], tries=1)
        assert "no JSON" in refused(lambda: asked.get("/health")).detail
        assert refused(lambda: asked.get("/health")).status == 302
        assert "an object is expected" in refused(lambda: read(results.Health, asked.get("/health"))).detail
        assert "Health.epoch is missing" in refused(lambda: read(results.Health, asked.get("/health"))).detail
        assert refused(lambda: asked.get("/health")).status == 404
    assert isinstance(refused(lambda: http(server.url, [], tries=1).get("/health")), UnreachableError)
