"""Pilots that members bring: taken from what they send, kept as versions, told with their mistakes, and started as jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from pilotbase.compute import jobs
from pilotbase.context import Context
from pilotbase.domain.account import Member
from pilotbase.domain.job import Job
from pilotbase.errors import UserError
from pilotbase.flows.home_name import home_name
from pilotbase.flows.uploaded import SPEC, Mistake, load_uploaded, mistakes
from pilotbase.pilots import workspaces
from pilotbase.pilots.workspaces import Keeper, Version, Workspace, folder_of, read_files
from pilotbase.spec.scaffold import scaffold_files
from pilotbase.spec.yaml import MOST_BYTES
from pilotbase.store.sent_files import TYPES, Allowance, check_names, name_problem, unpack

__all__ = [
    "Sight",
    "change_files",
    "change_spec",
    "facts_of",
    "keep_files",
    "received",
    "sight",
    "start_run",
    "template",
    "written",
]

ALLOWANCE = Allowance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A version as its page shows it: the spec's text, what is wrong with it, its files with their sizes, and its forecast."""

    workspace: Workspace
    version: Version
    text: str
    mistakes: tuple[Mistake, ...]
    files: Mapping[str, int]
    forecast: Job | None


def received(context: Context, name: str, size: int, file: BinaryIO) -> dict[str, bytes]:
    """The files that were sent under a name: those of a zip, or one. UserError for what is not taken."""
    types = _types(context)
    allowance = Allowance(types=types)
    if size > allowance.bytes:
        raise UserError(f"the file has {size:,} bytes; at most {allowance.bytes >> 20} MiB are taken", status=413)
    if PurePosixPath(name).suffix.lower() == ".zip":
        return unpack(file, allowance)
    if problem := name_problem(name, types):
        raise UserError(f"{name[:100]}: {problem}", hint="send pilot.yaml, a file of data, or a zip of the folder", status=422)
    whole = file.read(allowance.bytes + 1)
    spec = PurePosixPath(name).suffix.lower() in (".yaml", ".yml")
    return {SPEC if spec else name: whole}


def written(context: Context, texts: Mapping[str, str]) -> dict[str, bytes]:
    """Files that came as texts by name. InvalidInput with every name that is not taken."""
    check_names(texts, _types(context))
    return {name: text.encode("utf-8", "replace") for name, text in texts.items()}


def template(context: Context) -> dict[str, bytes]:
    """The files that `pilotbase init` writes; where code may not run here, with recorded answers in its place."""
    return {name: text.encode() for name, text in scaffold_files(code=context.bounds.code != "off").items()}


def keep_files(context: Context, files: Mapping[str, bytes], member: Member, who: str) -> Workspace:
    """A new pilot of a member's. UserError where there is no pilot.yaml among the files."""
    _fit(files)
    made = workspaces.create(
        context.database, _keeper(context, who), files, name=_name_of(files), organisation=member.organisation
    )
    _foresee(context, made, who)
    return made


def change_files(context: Context, workspace: str, sent: Mapping[str, bytes], *, base: int, whole: bool, who: str) -> Workspace:
    """The next version: with `whole` these files alone, otherwise these in place of, or beside, those of the version `base`."""
    before = {} if whole else read_files(context.home, workspaces.get_version(context.database, workspace, base).digest)
    files = {**before, **sent}
    _fit(files)
    changed = workspaces.add_version(context.database, _keeper(context, who), workspace, files, base=base, name=_name_of(files))
    _foresee(context, changed, who)
    return changed


def change_spec(context: Context, workspace: str, text: str, *, base: int, who: str) -> Workspace:
    """The next version, with another pilot.yaml. Browsers end lines with CR LF; files keep LF."""
    plain = text.replace("\r\n", "\n").encode("utf-8", "replace")
    return change_files(context, workspace, {SPEC: plain}, base=base, whole=False, who=who)


def sight(context: Context, workspace: str, version: int | None = None) -> Sight:
    """A version, the newest where none is named. UserError (404) where it is not there."""
    found = workspaces.get(context.database, workspace)
    one = workspaces.get_version(context.database, workspace, version or found.version)
    files = read_files(context.home, one.digest)
    return Sight(
        workspace=found,
        version=one,
        text=files.get(SPEC, b"")[: MOST_BYTES + 1].decode("utf-8", "replace"),
        mistakes=tuple(_mistakes(context, one)),
        files={name: len(data) for name, data in files.items()},
        forecast=jobs.forecast_of(context.database, workspace, one.digest),
    )


def start_run(context: Context, workspace: str, version: int, member: Member, who: str) -> Job:
    """A job that runs a version. UserError (422) where it is wrong, 409 where the same waits already."""
    one = workspaces.get_version(context.database, workspace, version)
    if wrong := _mistakes(context, one):
        told = f"the pilot has {len(wrong)} mistakes" if len(wrong) > 1 else "the pilot has a mistake"
        raise UserError(told, hint="mend what is shown at its lines, then start it", status=422)
    same = [job for job in jobs.newest_of_workspace(context.database, workspace) if job.digest == one.digest]
    if any(job.kind == "run" and job.state == "queued" for job in same):
        raise UserError("a run of this version waits already", hint="see it in the list of jobs", status=409)
    return jobs.create(
        context.database, "run", home=one.home, who=who, now=context.clock.now(), workspace=workspace, digest=one.digest,
        organisation=member.organisation,
    )  # fmt: skip


def _types(context: Context) -> frozenset[str]:
    return TYPES if context.bounds.code != "off" else TYPES - {".py"}


def _keeper(context: Context, who: str) -> Keeper:
    return Keeper(disk=context.disk, home=context.home, of=home_name(context), who=who, now=context.clock.now())


def _fit(files: Mapping[str, bytes]) -> None:
    if SPEC not in files:
        raise UserError("there is no pilot.yaml among the files", hint="put it at the top of the folder", status=422)
    if len(files) > ALLOWANCE.files or sum(map(len, files.values())) > ALLOWANCE.bytes:
        told = f"a pilot holds at most {ALLOWANCE.files:,} files and {ALLOWANCE.bytes >> 20} MiB"
        raise UserError(told, hint="leave out what it does not need", status=413)


def _name_of(files: Mapping[str, bytes]) -> str:
    """What the spec calls itself, as far as its first words tell."""
    for line in files[SPEC][:MOST_BYTES].decode("utf-8", "replace").splitlines():
        word, _, name = line.strip().lstrip('"').partition(":")
        if word.strip('" ') == "pilot" and name.strip():
            return name.partition("#")[0].strip(" \"',")
    return "pilot"


def _mistakes(context: Context, version: Version) -> list[Mistake]:
    folder = folder_of(context.home, version.digest)
    try:
        load_uploaded(context, folder)
    except UserError as error:
        return mistakes(error, folder)
    return []


def _foresee(context: Context, workspace: Workspace, who: str) -> None:
    """Have a forecast made of the newest version, where it is right and has none. Data is read in a job's process alone."""
    one = workspaces.get_version(context.database, workspace.id, workspace.version)
    if jobs.forecast_of(context.database, workspace.id, one.digest) is None and not _mistakes(context, one):
        jobs.create(
            context.database, "explain", home=one.home, who=who, now=context.clock.now(), workspace=workspace.id,
            digest=one.digest, organisation=workspace.organisation,
        )  # fmt: skip


def facts_of(job: Job | None) -> Mapping[str, Any] | None:
    """What a forecast found; None where it is not there yet."""
    return job.progress.get("found") if job is not None and job.state == "done" else None
