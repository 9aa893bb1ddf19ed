"""`pilotbase demo`: a fresh base, filled. Organisations, people and needs are made up; trials and releases are really run."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pilotbase.context import Context
from pilotbase.demo.cases import Planned, conclude_cases, open_cases, planned
from pilotbase.demo.contents import contents
from pilotbase.demo.entries import add_entries
from pilotbase.demo.figures import add_figures
from pilotbase.demo.past import PastClock
from pilotbase.demo.people import Peopled, add_people
from pilotbase.demo.replica import replicate
from pilotbase.demo.service import release_twice
from pilotbase.demo.trials import EXAMPLES, Trial, Tried, answering, criteria_of, prepare_trials, try_pilot
from pilotbase.domain.account import Member
from pilotbase.private_file import put_in_place

__all__ = ["Filled", "fill"]

DAYS = 45.0
"""How old the oldest made-up date is."""
NOWHERE = "sha256:" + "0" * 64
"""The criteria of a case that comes to no trial here."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """`accounts` is the private file with every login and the one password of all; `runs` are by the example's name."""

    accounts: Path
    logins: tuple[str, ...]
    password: str
    runs: Mapping[str, str]


def fill(
    context: Context, say: Say, *, environment: Mapping[str, str] | None = None, trials: Collection[str] = EXAMPLES
) -> Filled:
    """Fill a base that has no members yet, with the `trials` of these examples and the cases that need them.
    With an `environment`, in which the gateway is started, a release is played too.

    UserError where it has members, or where an example cannot be run; what was done until then stays.
    """
    clock = PastClock(DAYS)
    past = replace(context, clock=clock)
    peopled = add_people(past)
    accounts = _written(context, peopled)
    listed = add_entries(past, peopled.organisations, clock)
    homes, needs, offered = (len(one) for one in (peopled.organisations, listed.needs, listed.capabilities))
    say(f"made up: {homes} organisations, {needs} needs, {offered} capabilities")
    ready = prepare_trials(context.home / "demo", trials, say)
    criteria = {name: criteria_of(past, trial) for name, trial in ready.items()}
    cases: dict[str, str] = {}
    for one in planned():
        if not one.pilot or one.pilot in ready:
            who = _people(one, peopled)
            cases[one.key] = open_cases(past, one, listed, who, criteria.get(one.pilot, NOWHERE), clock)
    say(f"opened: {len(cases)} cases")
    clock.arrive()
    add_figures(context, next(iter(peopled.members.values())))
    runs = {name: _tried(context, trial, cases, peopled, say, environment).run for name, trial in ready.items()}
    return Filled(accounts=accounts, logins=tuple(peopled.members), password=peopled.password, runs=runs)


def _tried(
    context: Context, trial: Trial, cases: Mapping[str, str], peopled: Peopled, say: Say, environment: Mapping[str, str] | None
) -> Tried:
    """Run a trial, conclude its cases, replicate and release what is to be."""
    with answering(trial):
        tried = try_pilot(context, trial, say)
        for one in planned():
            if one.pilot != trial.name:
                continue
            who = _people(one, peopled)
            conclude_cases(context, one, cases[one.key], who, tried.run)
            if one.last == "promote":
                replicate(context, trial, cases[one.key], who["owner"], who["operator"])
                say(f"replicated: {one.candidate} at a second site")
        if trial.name == "guarded-release" and environment is not None:
            assert trial.port is not None
            release_twice(context, trial.folder, trial.port, tried, environment, say)
    return tried


def _people(one: Planned, peopled: Peopled) -> Mapping[str, Member]:
    """Who takes the steps of a case, by role."""
    told = contents()
    owner = next(need["organisation"] for need in told["needs"] if need["key"] == one.need)
    vendor = next(offered["organisation"] for offered in told["capabilities"] if offered["key"] == one.capability)
    home = peopled.organisations
    wanted = {"owner": home[owner], "vendor": home[vendor], **dict.fromkeys(("operator", "engineer", "reviewer"), home["base"])}
    return {
        role: next(member for member in peopled.members.values() if member.organisation == place and role in member.roles)
        for role, place in wanted.items()
    }


def _written(context: Context, peopled: Peopled) -> Path:
    path = context.home / "demo" / "accounts.txt"
    context.disk.make_folder(path.parent)
    lines = [f"{one.login}  {', '.join(one.roles)}  {one.name}" for one in peopled.members.values()]
    put_in_place(path, "\n".join([f"password of all: {peopled.password}", *lines, ""]).encode())
    return path
