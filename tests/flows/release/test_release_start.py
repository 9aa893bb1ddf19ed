"""`pilotbase release start`: what begins, what is refused and in which words, and what is recorded of an override."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from ruamel.yaml import YAML
from tests.fakes.chat_server import answers
from tests.fakes.releases import FAST, plan_file, prepare
from tests.flows.stories import Said, forge, key_of, pilotbase, sealed
from tests.flows.support import Base, cases, serving

from pilotbase.domain.traffic import Route
from pilotbase.gateway.keys import list_keys
from pilotbase.gateway.routes import find_route
from pilotbase.release import records
from pilotbase.release.records import Release
from pilotbase.store.database import Database

CANARY = [{"rung": "canary", "share": "5 %", "requests": 50, "time": "1h"}, {"rung": "full", "requests": 10, "time": "1h"}]


@dataclass(frozen=True, kw_only=True)
class Story:
    """A home with a route `m`, the dossier of a chat candidate that passed, and one of Python candidates of all verdicts."""

    folder: Path
    base: Base
    dossier: Path
    odd: Base
    odd_dossier: Path
    url: str

    def fresh(self, folder: Path) -> "Story":
        shutil.copytree(self.base.home, folder / "home")
        shutil.copytree(self.odd.folder, folder / "odd")
        return replace(
            self,
            folder=folder,
            base=replace(self.base, home=folder / "home"),
            odd=replace(self.odd, home=folder / "home", folder=folder / "odd"),
        )

    def say(self, *words: object) -> Said:
        return pilotbase(self.base.home, *words, environment=self.odd.environment)

    def start(self, *words: object, route: str = "m") -> Said:
        """From the chat candidate's dossier, under a plan of one canary unless another is given."""
        declared = () if {"--plan", "--bearer"} & set(words) else ("--plan", plan_file(self.folder, CANARY))
        return self.say("release", "start", route, "--dossier", self.dossier, *declared, *words)

    def python(self, candidate: str, *words: object) -> Said:
        """From the Python candidates' dossier."""
        plan = plan_file(self.folder, CANARY)
        source = ("--pilot", self.odd.pilot, "--candidate", candidate)
        return self.say("release", "start", "m", "--dossier", self.odd_dossier, "--plan", plan, *source, *words)

    def releases(self) -> list[Release]:
        with Database(self.base.home / "pilotbase.db") as database:
            return records.list_releases(database)

    def route(self) -> Route:
        with Database(self.base.home / "pilotbase.db") as database:
            found = find_route(database, "m")
        assert found is not None
        return found.route


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("release")
    odd = Base(folder=folder / "odd", home=folder / "home")
    with serving(answers("yes")) as server:
        ready = prepare(folder, server.url)
        odd.write(
            rows=cases(80),
            candidates={name: odd.python(name) for name in ("good", "wrong", "coin")},
            checks=[{"metric": "accuracy", "require": ">= 0.7"}, {"metric": "failure-rate", "require": "<= 0.1"}],
        )
        odd_dossier = sealed(odd, name="odd-dossier")
        added = pilotbase(ready.base.home, "route", "add", "m", "--upstream", server.url, "--price-per-call", "0.01CNY")
        assert added.code == 0, added.err
        yield Story(folder=folder, base=ready.base, dossier=ready.dossier, odd=odd, odd_dossier=odd_dossier, url=server.url)


@pytest.fixture
def story(made: Story, tmp_path: Path) -> Story:
    return made.fresh(tmp_path)


def refused(story: Story, said: Said, *told: str, code: int = 1) -> None:
    """Refused in these words, and nothing was begun."""
    assert said.code == code, said.err
    for word in told:
        assert word in said.err, said.err
    assert "Traceback" not in said.err
    assert story.releases() == [] and story.route().arm is None


def test_a_release_begins_and_tells_what_it_declares(story: Story) -> None:
    plan = plan_file(
        story.folder,
        [
            {"rung": "bounded", "users": ["clinic/nurse-7"], "requests": 5, "feedback": 3, "time": "1d", "climb": "not-failed"},
            *CANARY,
        ],
        exposure={"people": 5, "spend": "3 CNY", "time": "14d"},
        checks=[
            {"metric": "latency.p95", "require": "<= 3 s"},
            {"metric": "regex", "pattern": "yes", "live": {"sample": "5 %"}, "require": ">= 0.9"},
            {"metric": "feedback", "require": ">= 0.8", "role": "inform"},
        ],
    )
    said = story.start("--plan", plan)
    assert (said.code, said.err) == (0, "")
    (release,) = story.releases()
    text = " ".join(said.out.split())
    assert f"release {release.id} of m begins: candidate assistant Dr. Wang bears the risk" in text
    assert "1 bounded (clinic/nurse-7) 5 results, 1d, 3 users' words no check FAILS" in text
    assert "2 canary 5 % 50 results, 1h every check PASSES" in text
    assert "capability/failure-rate <= 0.1 0.9833 every request any time" in text, "alpha 0.05 is split over three rungs"
    assert "release/latency.p95 <= 0.05 of requests beyond `<= 3 s`" in text
    assert "release/regex >= 0.9 0.9833 a sample of 0.05" in text
    assert "release/feedback >= 0.8 0.9833 users' words any time informs" in text
    assert "limits: 5 people, 3 CNY, 14d" in text
    arm = story.route().arm
    assert arm is not None and (arm.release, arm.share, arm.people) == (release.id, 0.0, ("clinic/nurse-7",))


def test_a_name_alone_starts_the_usual_plan_and_its_shadows_get_a_purse(story: Story) -> None:
    said = story.start("--bearer", "Li Lei")
    assert said.code == 0, said.err
    assert "Li Lei bears the risk" in said.out and "limits: none is declared" in said.out
    for rung in ("shadow 100 %", "canary 1 %", "canary 5 %", "canary 25 %", "full"):
        assert rung in said.out
    (release,) = story.releases()
    with Database(story.base.home / "pilotbase.db") as database:
        assert f"shadows of {release.id}" in {key.name for key in list_keys(database)}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--plan", "gone.yaml"), "the release plan cannot be read"),
        (("--bearer", " "), "nobody is named who bears the risk"),
        (("--bearer", "Li", "--plan", "plan.yaml"), ""),
        (("--bearer", "Li", "--upstream-model", "m"), "--upstream-model and --key-env are of an upstream"),
        (("--bearer", "Li", "--upstream", "http://a/v1", "--file", "r.json"), "the candidate is served from one place"),
    ],
)
def test_what_is_said_wrongly_is_told_and_begins_nothing(story: Story, words: tuple[str, ...], told: str) -> None:
    refused(story, story.start(*words), told, code=2)


def test_without_a_plan_or_a_bearer_nothing_begins(story: Story) -> None:
    said = story.say("release", "start", "m", "--dossier", story.dossier)
    refused(story, said, "nobody is named who bears the risk of this release", "--bearer NAME", code=2)


def test_a_route_that_is_not_there_is_told_with_the_nearest(story: Story) -> None:
    refused(story, story.start(route="mm"), "there is no route `mm` to release on", "did you mean `m`?", code=2)
    assert "there is no route `mm`" in story.say("release", "status", "mm").err


def test_a_dossier_that_is_not_there_is_refused(story: Story) -> None:
    gone = replace(story, dossier=story.folder / "gone")
    refused(story, gone.start(), "the release is refused: the dossier cannot be read", "pilotbase verify")


def test_a_dossier_that_was_changed_is_refused_even_on_somebodys_word(story: Story) -> None:
    copy = story.folder / "copy"
    shutil.copytree(story.dossier, copy)
    (copy / "report.md").write_text("all is well")
    changed = replace(story, dossier=copy)
    refused(story, changed.start(), "the dossier does not verify: report.md: changed since it was sealed")
    refused(story, changed.start("--by", "Ann", "--reason", "demo"), "the dossier does not verify")


def test_a_dossier_of_a_signer_who_is_unknown_here_is_refused(story: Story, tmp_path: Path) -> None:
    stranger = forge(story.dossier, tmp_path / "stranger", key_of(tmp_path / "elsewhere"), lambda record, folder: None)
    refused(story, replace(story, dossier=stranger).start(), "its signer is unknown here", "pilotbase key trust")


def test_a_verdict_other_than_pass_is_refused(story: Story) -> None:
    refused(story, story.python("wrong"), "verdict for `wrong` is FAIL", "--by NAME --reason WHY")
    few = Base(folder=story.folder / "few", home=story.base.home).write(
        rows=cases(4), checks=[{"metric": "accuracy", "require": ">= 0.7"}, {"metric": "failure-rate", "require": "<= 0.1"}]
    )
    dossier = sealed(few, name="few-dossier")
    plan = plan_file(story.folder, CANARY)
    said = story.say("release", "start", "m", "--dossier", dossier, "--pilot", few.pilot, "--plan", plan)
    refused(story, said, "verdict for `good` is INCONCLUSIVE")


def test_an_override_is_recorded_with_the_name_and_the_reason(story: Story) -> None:
    said = story.python("wrong", "--by", "Ann", "--reason", "board decision")
    assert said.code == 0, said.err
    assert "WARNING: the dossier's verdict for `wrong` is FAIL" in said.err
    (release,) = story.releases()
    tie = release.document["tie"]
    assert (tie["policy"], tie["by"], tie["reason"]) == ("allow", "Ann", "board decision")
    assert tie["verdict"].startswith("not verified: the dossier's verdict for `wrong` is FAIL")
    assert "no verified PASS stands behind it: by Ann: board decision" in story.say("release", "status", "m").out


@pytest.mark.parametrize("words", [("--by", "Ann"), ("--reason", "demo"), ("--by", " ", "--reason", "demo")])
def test_half_an_override_is_none(story: Story, words: tuple[str, ...]) -> None:
    refused(story, story.python("wrong", *words), "is missing or empty", code=2)


def test_a_base_that_says_prevent_forbids_the_override(story: Story) -> None:
    assert story.say("route", "policy", "prevent", "--reason", "board decision").code == 0
    said = story.python("wrong", "--by", "Ann", "--reason", "demo")
    refused(story, said, "the base's policy is `prevent`, and `allow` is laxer")
    assert story.start().code == 0, "what passed begins all the same"


def test_what_is_served_must_be_what_was_tried(story: Story) -> None:
    refused(story, story.start("--upstream", "http://b.example/v1"), "is not what was tried as `assistant`: another url")
    refused(story, story.start("--upstream", story.url, "--upstream-model", "m2"), "another model")
    models = story.odd.folder / "models.py"
    models.write_text(models.read_text() + "\n# changed\n")
    refused(story, story.python("good"), "is not what was tried as `good`", "another code models.py")


def test_a_python_candidate_that_passed_is_released_from_its_pilot(story: Story) -> None:
    said = story.say("release", "start", "m", "--dossier", story.odd_dossier, "--candidate", "good", "--bearer", "Li")
    refused(story, said, "a dossier does not hold the code of `good`", "--pilot PILOT", code=2)
    said = story.say("release", "start", "m", "--dossier", story.odd_dossier, "--pilot", story.odd.pilot, "--bearer", "Li")
    refused(story, said, "the dossier judged several candidates", "--candidate: good, wrong, coin")
    said = story.python("good")
    assert said.code == 0, said.err
    assert story.releases()[0].document["candidate_id"] == "good"


def test_a_candidate_in_a_file_is_held_against_the_dossier(story: Story) -> None:
    file = story.folder / "route.json"
    file.write_bytes(orjson.dumps({"name": "m", "upstreams": [{"url": "http://a.example/v1"}]}))
    refused(story, story.start("--file", file), "is not what was tried as `assistant`")


def test_a_route_under_release_takes_no_second_one_and_no_other_change(story: Story) -> None:
    assert story.start().code == 0
    (release,) = story.releases()
    again = story.start()
    assert again.code == 1 and f"is under release already: {release.id}, climbing" in again.err
    for words in (("rm", "m"), ("add", "m", "--upstream", "http://a.example/v1", "--replace")):
        said = story.say("route", *words)
        assert said.code != 0 and f"under release {release.id}: nothing else may change it" in said.err
    assert story.say("release", "rollback", "m", "--why", "test").code == 0
    assert story.say("route", "add", "m", "--upstream", "http://a.example/v1", "--replace").code == 0
    assert story.start().code == 0, "a route that was rolled back may be released on again"


def test_everything_wrong_with_a_plan_is_told_at_once_with_its_line(story: Story) -> None:
    plan = story.folder / "bad.yaml"
    plan.write_text(
        "bearer: Li\nrungs:\n  - {rung: canary, share: 500 %}\n  - {rung: ful}\nexposure: {people: 0}\nchecks:\n"
        "  - {metric: failure-rat, require: '<= 2 %'}\nevidense: {}\n"
    )
    said = story.start("--plan", plan)
    refused(story, said, code=2)
    for line in (3, 4, 5, 7, 8):
        assert f"bad.yaml:{line}:" in said.err, said.err
    assert "did you mean `failure-rate`?" in said.err and "`evidence`" in said.err


def write_plan(story: Story, words: Mapping[str, Any]) -> Path:
    path = story.folder / "plan.yaml"
    with path.open("w") as file:
        YAML().dump({**FAST, "rungs": CANARY, **words}, file)
    return path


def test_a_release_that_no_check_would_watch_does_not_begin(story: Story) -> None:
    blind = Base(folder=story.folder / "blind", home=story.base.home).write(rows=cases(80))
    dossier = sealed(blind, name="blind-dossier")
    words = ("release", "start", "m", "--dossier", dossier, "--pilot", blind.pilot, "--plan")
    refused(story, story.say(*words, write_plan(story, {})), "no check would watch this release", "live: {sample: 5 %}", code=2)
    informs = [{"metric": "failure-rate", "require": "<= 2 %", "role": "inform"}]
    refused(story, story.say(*words, write_plan(story, {"checks": informs})), "no check would watch this release", code=2)
    decides = [{"metric": "failure-rate", "require": "<= 2 %"}]
    assert story.say(*words, write_plan(story, {"checks": decides})).code == 0


def test_shadows_are_paid_in_the_candidates_own_currency(story: Story) -> None:
    rungs = [{"rung": "shadow", "requests": 5}, *CANARY]
    said = story.start("--plan", write_plan(story, {"rungs": rungs, "shadow": {"spend": "5 USD"}}))
    refused(story, said, "shadows may cost 5 USD, and the candidate is paid in CNY", code=2)
