"""`pilotbase route add`: from an address, a file or a pilot, and what a route rests on."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.fakes.chat_server import answers
from tests.flows.stories import Said, forge, key_of, pilotbase, sealed
from tests.flows.support import Base, cases, serving

from pilotbase.domain.evidence import Ask
from pilotbase.domain.traffic import Route
from pilotbase.flows.served import build_target
from pilotbase.gateway.audit import entries
from pilotbase.gateway.routes import find_route
from pilotbase.store.database import Database

MESSAGES = [
    {"role": "system", "content": "Say {{yes}} or no."},
    {"role": "assistant", "content": "Ready."},
    {"role": "user", "content": "{x}"},
]


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Two pilots of one home with their sealed dossiers: one of Python candidates, one of a chat model that passed."""

    base: Base
    dossier: Path
    chat: Base
    chat_dossier: Path
    url: str

    def fresh(self, folder: Path) -> "Tried":
        """The same with a home and a code folder of the test's own."""
        home = folder / "home"
        shutil.copytree(self.base.home, home)
        shutil.copytree(self.base.folder, folder / "pilot")
        return replace(
            self,
            base=replace(self.base, home=home, folder=folder / "pilot"),
            chat=replace(self.chat, home=home),
        )

    def add(self, name: str, *flags: object) -> Said:
        return pilotbase(self.base.home, "route", "add", name, *flags, environment=self.base.environment)

    def python(self, candidate: str, *flags: object) -> Said:
        return self.add("odd", "--pilot", self.base.pilot, "--candidate", candidate, *flags)

    def route(self, name: str) -> Route:
        with Database(self.base.home / "pilotbase.db") as database:
            found = find_route(database, name)
        assert found is not None
        return found.route

    def served(self) -> list[str]:
        return [one["name"] for one in pilotbase(self.base.home, "route", "ls", "--json").json]


def chat_target(url: str, **more: Any) -> dict[str, Any]:
    options = {"url": url, "model": "m", "version": "1", "params": {"temperature": 0, "top_p": None}, "timeout": "20s", **more}
    return {"target": {"openai": options}, "messages": MESSAGES, "price": {"per-call": "0.01 CNY"}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    folder = tmp_path_factory.mktemp("route")
    base = Base(folder=folder / "pilot", home=folder / "home")
    base.write(rows=cases(80), candidates={name: base.python(name) for name in ("good", "wrong", "coin")})
    dossier = sealed(base)
    chat = Base(folder=folder / "chat", home=folder / "home")
    with serving(answers("yes")) as server:
        chat.write(
            rows=[{**case, "label": "yes"} for case in cases(40)],
            candidates={"assistant": chat_target(server.url)},
            checks=[{"metric": "contains", "require": ">= 0.7"}],
        )
        chat_dossier = sealed(chat, name="chat-dossier")
        yield Tried(base=base, dossier=dossier, chat=chat, chat_dossier=chat_dossier, url=server.url)


@pytest.fixture
def tried(made: Tried, tmp_path: Path) -> Tried:
    return made.fresh(tmp_path)


def test_an_address_alone_is_served_and_says_that_no_scenario_is_named(tried: Tried) -> None:
    said = tried.add(
        "m", "--upstream", "http://a.example/v1", "--upstream-model", "m-7b", "--key-env", "A_KEY", "--price-per-call", "0.01CNY",
        "--price-input", "2CNY", "--price-output", "6CNY", "--timeout", "20s", "--retries", "1", "--weight", "3",
        "--max-output", "99",
    )  # fmt: skip
    assert (said.code, said.err) == (0, "")
    route = tried.route("m")
    upstream = route.upstreams[0]
    assert (upstream.url, upstream.model, upstream.key_env, upstream.weight) == ("http://a.example/v1", "m-7b", "A_KEY", 3)
    assert (upstream.timeouts.total, route.retries, route.max_output) == ("20s", 1, 99)
    assert route.price is not None and [str(m) for m in route.price.amounts()] == ["0.01 CNY", "2 CNY", "6 CNY"]
    assert (route.tie.policy, route.tie.scenario, route.tie.verdict) == ("allow", None, None)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--upstream", "a.example"), "no usable http(s) address"),
        (("--upstream", "http://u:secret@a.example/v1"), "no usable http(s) address"),
        (("--upstream", "http://a/v1", "--price-input", "2"), "is not an amount"),
        (("--upstream", "http://a/v1", "--price-input", "2CNY", "--price-output", "6USD"), "several currencies"),
        (("--upstream", "http://a/v1", "--timeout", "soon"), "is not a duration"),
        (("--upstream", "http://a/v1", "--retries", "11"), "out of range"),
        (("--upstream", "http://a/v1", "--weight", "0"), "weight 0"),
        (("--upstream", "http://a/v1", "--candidate", "x"), "names one of a pilot or of a dossier"),
        ((), "one source, found nothing"),
    ],
)
def test_a_route_that_cannot_be_is_refused_with_what_to_do(tried: Tried, flags: tuple[str, ...], told: str) -> None:
    said = tried.add("m", *flags)
    assert said.code == 2 and told in said.err and "secret" not in said.err
    assert tried.served() == []


def test_what_show_prints_is_a_file_that_add_reads(tried: Tried, tmp_path: Path) -> None:
    tried.add("m", "--upstream", "http://a.example/v1")
    file = tmp_path / "route.json"
    file.write_text(pilotbase(tried.base.home, "route", "show", "m").out)
    assert "already" in tried.add("m", "--file", file).err
    assert tried.add("m", "--file", file, "--replace").code == 0
    assert "and its file says `m`" in tried.add("n", "--file", file).err
    assert "says all of it" in tried.add("m", "--file", file, "--retries", "2").err
    assert pilotbase(tried.base.home, "route", "rm", "m").code == 0
    assert pilotbase(tried.base.home, "route", "show", "m").code == 2


def test_a_file_cannot_declare_what_it_rests_on(tried: Tried, tmp_path: Path) -> None:
    tie = {"policy": "prevent", "verdict": "pass", "dossier": "sha256:0", "signer": "SHA256:me"}
    file = tmp_path / "route.json"
    file.write_bytes(orjson.dumps({"name": "m", "upstreams": [{"url": "http://a/v1"}], "tie": tie}))
    assert tried.add("m", "--file", file).code == 0
    assert (tried.route("m").tie.verdict, tried.route("m").tie.dossier) == (None, None)


def test_a_python_candidate_that_passed_is_served_with_its_tie(tried: Tried) -> None:
    said = tried.python("good", "--dossier", tried.dossier)
    assert (said.code, said.err) == (0, ""), said.err
    tie = tried.route("odd").tie
    assert (tie.policy, tie.verdict, tie.candidate, tie.signer) == ("prevent", "pass", "good", key_of(tried.base.home).key_id)
    assert tie.scenario == "small: Tell odd from even."
    assert tie.fingerprint is not None and tie.dossier is not None and tie.dossier.startswith("sha256:")
    with Database(tried.base.home / "pilotbase.db") as database:
        entry = entries(database)[0]
    assert (entry.action, entry.detail["tie"]["dossier"]) == ("route.add", tie.dossier)


def test_a_served_python_candidate_is_built_again_from_its_route(tried: Tried) -> None:
    tried.python("good", "--dossier", tried.dossier)
    document = tried.route("odd").upstreams[0].target
    assert document is not None and document["inputs"] == ["x"] and document["positive"] == "yes"

    async def ask() -> Any:
        with tried.base.opened() as context:
            target = build_target(context.secrets, document, context.scratch() / "odd")
            try:
                return (await target.invoke([Ask(key=0, inputs={"x": 7})]))[0].answer
            finally:
                await target.aclose()

    assert asyncio.run(ask()) == "yes"


def test_without_a_dossier_a_pilots_candidate_is_refused_by_default(tried: Tried) -> None:
    said = tried.python("good")
    assert said.code == 1
    assert "refused: no dossier of the pilot `small` is given" in said.err and "--policy" in said.err
    assert tried.served() == []


def test_warn_says_so_loudly_and_keeps_it_on_record(tried: Tried) -> None:
    said = tried.python("good", "--policy", "warn")
    assert said.code == 0 and "WARNING" in said.err and "no dossier" in said.err
    tie = tried.route("odd").tie
    assert tie.policy == "warn" and "no dossier" in (tie.verdict or "")
    assert "no verified PASS (warn)" in pilotbase(tried.base.home, "route", "ls").out


def test_allow_needs_a_name_and_a_reason_which_the_audit_log_keeps(tried: Tried) -> None:
    for flags in ((), ("--by", "Ann"), ("--reason", "demo"), ("--by", " ", "--reason", "demo")):
        said = tried.python("good", "--policy", "allow", *flags)
        assert said.code == 2 and "missing or empty" in said.err
    assert tried.python("good", "--policy", "allow", "--by", "Ann", "--reason", "demo").code == 0
    with Database(tried.base.home / "pilotbase.db") as database:
        tie = entries(database)[0].detail["tie"]
    assert (tie["policy"], tie["by"], tie["reason"]) == ("allow", "Ann", "demo")


def refused(said: Said, *told: str) -> None:
    assert said.code == 1, said.err
    for word in ("the route is refused", *told):
        assert word in said.err


def test_a_dossier_that_says_fail_or_inconclusive_lets_nothing_through(tried: Tried) -> None:
    refused(tried.python("wrong", "--dossier", tried.dossier), "verdict for `wrong` is FAIL")
    refused(tried.python("coin", "--dossier", tried.dossier), "verdict for `coin` is")
    assert tried.served() == []


def test_an_inconclusive_verdict_is_no_pass(tried: Tried, tmp_path: Path) -> None:
    def doubt(record: dict[str, Any], folder: Path) -> None:
        for one in record["result"]["candidates"]:
            one["verdict"] = "inconclusive"

    base = Base(folder=tmp_path / "few", home=tried.base.home).write(rows=cases(4))
    dossier = sealed(base, name="few-dossier")
    said = tried.add("few", "--pilot", base.pilot, "--dossier", dossier)
    refused(said, "verdict for `good` is INCONCLUSIVE")
    forged = forge(tried.dossier, tmp_path / "forged", key_of(tried.base.home), doubt)
    refused(tried.python("good", "--dossier", forged), "does not verify")


def test_a_dossier_of_an_unknown_signer_is_refused_until_the_key_is_trusted(tried: Tried, tmp_path: Path) -> None:
    line = pilotbase(tried.base.home, "key", "export").out.strip()
    other = replace(tried, base=replace(tried.base, home=tmp_path / "other"))
    refused(other.python("good", "--dossier", tried.dossier), "its signer is unknown here", "pilotbase key trust")
    pilotbase(other.base.home, "key", "trust", line)
    assert other.python("good", "--dossier", tried.dossier).code == 0
    pilotbase(other.base.home, "key", "revoke", key_of(tried.base.home).key_id)
    refused(other.python("good", "--dossier", tried.dossier, "--replace"), "does not verify", "revoked")


def test_a_changed_dossier_is_refused_and_the_change_named(tried: Tried, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tried.dossier, copy)
    (copy / "report.md").write_text("all is well")
    refused(tried.python("good", "--dossier", copy), "does not verify: report.md: changed since it was sealed")
    refused(tried.python("good", "--dossier", tmp_path / "missing"), "cannot be read")


def test_code_that_changed_after_the_trial_is_not_what_was_tried(tried: Tried) -> None:
    models = tried.base.folder / "models.py"
    models.write_text(models.read_text() + "\n# changed\n")
    refused(tried.python("good", "--dossier", tried.dossier), "is not what was tried as `good`", "another code models.py")


def test_a_candidate_that_the_dossier_did_not_judge_is_told(tried: Tried) -> None:
    said = tried.add("m", "--upstream", "http://a/v1", "--dossier", tried.dossier, "--candidate", "better")
    refused(said, "candidate `better` was not judged in the dossier", "good, wrong, coin")
    refused(tried.add("m", "--upstream", "http://a/v1", "--dossier", tried.dossier), "judged several candidates")
    said = tried.add("m", "--upstream", "http://a/v1", "--dossier", tried.dossier, "--candidate", "good")
    refused(said, "of another kind")
    assert "no candidate `better`" in tried.python("better").err


def test_a_chat_candidate_is_served_as_it_was_tried(tried: Tried) -> None:
    said = tried.add("assistant", "--pilot", tried.chat.pilot, "--dossier", tried.chat_dossier)
    assert (said.code, said.err) == (0, ""), said.err
    route = tried.route("assistant")
    upstream = route.upstreams[0]
    assert (upstream.kind, upstream.url, upstream.model) == ("openai", tried.url, "m")
    assert [(p.role, p.content) for p in upstream.preamble] == [("system", "Say {yes} or no."), ("assistant", "Ready.")]
    assert dict(upstream.defaults) == {"temperature": 0}
    assert upstream.timeouts.total == "20s" and route.price is not None and route.price.per_call == "0.01 CNY"
    assert route.tie.verdict == "pass"


def test_an_address_with_a_dossier_is_served_with_the_prompt_that_was_tried(tried: Tried) -> None:
    said = tried.add("assistant", "--upstream", tried.url, "--dossier", tried.chat_dossier)
    assert said.code == 0, said.err
    assert len(tried.route("assistant").upstreams[0].preamble) == 2
    elsewhere = tried.add("other", "--upstream", "http://b.example/v1", "--dossier", tried.chat_dossier)
    refused(elsewhere, "is not what was tried as `assistant`: another url")
    model = tried.add("other", "--upstream", tried.url, "--upstream-model", "m2", "--dossier", tried.chat_dossier)
    refused(model, "another model")


def test_a_file_is_held_against_the_dossier_in_all_its_upstreams(tried: Tried, tmp_path: Path) -> None:
    tried.add("assistant", "--pilot", tried.chat.pilot, "--dossier", tried.chat_dossier)
    document = orjson.loads(pilotbase(tried.base.home, "route", "show", "assistant").out)
    file = tmp_path / "route.json"

    def again(**changes: Any) -> Said:
        second = {**document["upstreams"][0], "name": "second", **changes}
        file.write_bytes(orjson.dumps({**document, "upstreams": [document["upstreams"][0], second]}))
        return tried.add("assistant", "--file", file, "--dossier", tried.chat_dossier, "--replace")

    assert again().code == 0
    refused(again(url="http://b.example/v1"), "upstream `second` is not what was tried", "another url")
    refused(again(preamble=[]), "another prompt")
    refused(again(defaults={"temperature": 1}), "temperature in `defaults`")


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ({"prompt": "Is {x} odd?"}, "one input alone"),
        ({"messages": [{"role": "system", "content": "{x}"}, {"role": "user", "content": "{x}"}]}, "before the last one"),
        ({"messages": [{"role": "system", "content": "{x}"}]}, "one input alone"),
    ],
)
def test_a_prompt_that_a_client_cannot_stand_in_for_is_refused_with_the_reason(
    tried: Tried, tmp_path: Path, prompt: dict[str, Any], why: str
) -> None:
    target = {"openai": {"url": "http://a/v1", "model": "m"}}
    base = Base(folder=tmp_path / "other", home=tried.base.home).write(candidates={"c": {"target": target, **prompt}})
    said = tried.add("c", "--pilot", base.pilot, "--policy", "warn")
    assert said.code == 2 and why in said.err and "kind `target`" in said.err


def test_recorded_answers_cannot_be_served(tried: Tried, tmp_path: Path) -> None:
    base = Base(folder=tmp_path / "other", home=tried.base.home).write(candidates={"c": {"recorded": "answers.csv"}})
    said = tried.add("c", "--pilot", base.pilot, "--policy", "warn")
    assert said.code == 2 and "cannot be served" in said.err


def test_the_bases_own_policy_is_a_floor_that_no_flag_goes_below(tried: Tried) -> None:
    home = tried.base.home
    assert "prevent once a scenario is named" in pilotbase(home, "route", "policy").out
    assert pilotbase(home, "route", "policy", "prevent").code == 2, "a reason is needed"
    assert pilotbase(home, "route", "policy", "prevent", "--reason", "board decision").code == 0
    refused(tried.add("m", "--upstream", "http://a/v1"), "no dossier is given")
    said = tried.python("good", "--policy", "allow", "--by", "Ann", "--reason", "demo")
    assert said.code == 1 and "policy is `prevent`, and `allow` is laxer" in said.err
    assert pilotbase(home, "route", "policy", "warn", "--reason", "trial week").code == 0
    assert "WARNING" in tried.add("m", "--upstream", "http://a/v1").err
    refused(tried.python("good", "--policy", "prevent"))
    assert pilotbase(home, "route", "policy", "allow", "--reason", "fair").code == 0
    assert "missing or empty" in tried.add("n", "--upstream", "http://a/v1").err
    assert tried.add("n", "--upstream", "http://a/v1", "--by", "Ann", "--reason", "fair").code == 0
    with Database(home / "pilotbase.db") as database:
        assert [e.detail["policy"] for e in entries(database) if e.action == "route.policy"] == ["allow", "warn", "prevent"]
