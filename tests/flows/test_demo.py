"""The demonstration: what it fills a base with is really there, and really run. Without --full the slowest trial is left out."""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.flows.stories import pilotbase

from pilotbase.accounts import members
from pilotbase.catalog import cases, entries
from pilotbase.context import Context, SystemClock, open_context
from pilotbase.demo.examples import examples_folder
from pilotbase.demo.fill import Filled, fill
from pilotbase.demo.past import PastClock
from pilotbase.demo.trials import EXAMPLES
from pilotbase.domain.entry import Capability, Need
from pilotbase.domain.scenario import AREAS
from pilotbase.errors import UserError
from pilotbase.flows.case_export import check_case
from pilotbase.flows.run_dossier import check_dossier
from pilotbase.release import records
from pilotbase.store.audit import verify
from pilotbase.store.disk import LocalDisk

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


@dataclass
class Shown:
    context: Context
    filled: Filled
    said: list[str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, full: bool) -> Iterator[Shown]:
    home, said = tmp_path_factory.mktemp("demo") / "home", list[str]()
    with open_context(home, disk=LocalDisk(), clock=SystemClock(), secrets={}.get) as context:
        yield Shown(
            context,
            fill(context, said.append, environment=ENVIRONMENT if full else None, trials=EXAMPLES if full else EXAMPLES[1:]),
            said,
        )


def test_there_are_people_of_many_organisations_and_needs_in_every_area(shown: Shown) -> None:
    database = shown.context.database
    assert {role for one in members.list_members(database) for role in one.roles} >= {"operator", "engineer", "owner", "vendor"}
    needs = entries.list_entries(database, Need, state="published")
    assert {one.area for one in needs} == set(AREAS)
    everything = [*needs, *entries.list_entries(database, Capability)]
    assert all("演示 demonstration" in one.text for one in everything), "made up, and said so"
    span = max(one.created for one in needs) - min(one.created for one in needs)
    assert span.days >= 1


def test_cases_stand_where_they_should_and_each_record_verifies(shown: Shown, full: bool) -> None:
    found = cases.list_cases(shown.context.database)
    states = sorted(one.state for one in found)
    always = ["promoted", "review", "matched", "submitted", "withdrawn", "draft"]
    assert states == sorted([*always, *(("published", "failed") if full else ())])
    for one in found:
        assert check_case(shown.context, one.id).exit_code == 0, one.capability_title
    promoted = next(one for one in found if one.state == "promoted")
    assert promoted.proof is not None and promoted.replication is not None
    assert promoted.proof.signer != promoted.replication.signer
    assert (promoted.proof.verdict, promoted.replication.agreement) == ("pass", "agree")


def test_every_run_has_a_dossier_that_holds_and_the_audit_log_is_whole(shown: Shown) -> None:
    for run in shown.filled.runs.values():
        assert check_dossier(shown.context, run).status == "intact-trusted", run
    assert verify(shown.context.database).broken is None


def test_the_password_lies_in_a_private_file_and_opens_every_account(shown: Shown) -> None:
    assert stat.S_IMODE(shown.filled.accounts.stat().st_mode) == 0o600
    assert shown.filled.password in shown.filled.accounts.read_text("utf-8")
    now = shown.context.clock.now()
    for login in (shown.filled.logins[0], shown.filled.logins[-1]):
        assert members.sign_in(shown.context.database, login, shown.filled.password, "::1", now).login == login
    assert not any(shown.filled.password in line for line in shown.said)


def test_a_base_that_has_members_is_left_as_it_is(shown: Shown) -> None:
    before = len(members.list_members(shown.context.database))
    with pytest.raises(UserError, match="fresh bases only"):
        fill(shown.context, shown.said.append)
    told = pilotbase(shown.context.home, "demo")
    assert told.code == 2 and "fresh bases only" in told.err
    assert len(members.list_members(shown.context.database)) == before


def test_one_release_came_back_and_one_went_all_the_way(shown: Shown, full: bool) -> None:
    found = records.list_releases(shown.context.database)
    assert sorted(one.state for one in found) == (["ended", "rolled-back"] if full else [])


def test_the_past_is_never_to_come() -> None:
    clock, real = PastClock(2.0), SystemClock()
    first = clock.now()
    assert 1.9 < (real.now() - first).total_seconds() / 86_400 < 2.1
    clock.move(5.0)
    assert first < clock.now() <= real.now()


def test_the_examples_are_found_in_a_checkout() -> None:
    assert (examples_folder() / "guarded-release" / "server.py").is_file()
    assert examples_folder().is_relative_to(Path(__file__).parents[2])
