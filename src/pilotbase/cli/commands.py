"""Which module holds a command: loaded by name, so that `--help` stays quick."""

__all__ = ["COMMANDS"]

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("pilotbase.cli.init", "scaffold a commented pilot.yaml with a working candidate"),
    "explain": ("pilotbase.cli.explain", "validate a pilot and tell in plain words what will run; calls nothing"),
    "run": ("pilotbase.cli.run", "put every candidate through the gates, and give a verdict"),
    "runs": ("pilotbase.cli.runs", "list the runs of this home, newest first"),
    "show": ("pilotbase.cli.show", "one run with its gates, estimates and failures worth reading"),
    "conclude": ("pilotbase.cli.conclude", "recompute a verdict from stored evidence, calling nothing"),
    "compare": ("pilotbase.cli.compare", "two testers or two versions: agreement and paired differences"),
    "dossier": ("pilotbase.cli.dossier", "seal a run as a dossier: HTML, JSON, Markdown, JUnit XML"),
    "verify": ("pilotbase.cli.verify", "verify a dossier offline, and derive its verdicts again"),
    "disclose": ("pilotbase.cli.disclose", "open one case of a dossier with its proof, or check such a proof"),
    "rerun": ("pilotbase.cli.rerun", "run a dossier's pilot again on the same data, and compare"),
    "countersign": ("pilotbase.cli.countersign", "a second party's signature on criteria or on a dossier"),
    "key": ("pilotbase.cli.key", "signing keys of this base, and access keys of its customers"),
    "pack": ("pilotbase.cli.pack", "list gate packs, show one, or publish one for good"),
    "serve": ("pilotbase.cli.serve", "serve routes: OpenAI-compatible, metered, with keys and quotas"),
    "route": ("pilotbase.cli.route", "add, list, show and remove what the gateway serves"),
    "release": ("pilotbase.cli.release", "bring a candidate into service in small steps, under the checks that it passed"),
    "watch": ("pilotbase.cli.watch", "a release as it goes: intervals against thresholds, exposure, alerts"),
    "incident": ("pilotbase.cli.incident", "what went wrong: report, contain, resolve, close with a regression case, export"),
    "case": ("pilotbase.cli.case", "admission cases: list, show, export their signed record, and verify it"),
    "drill": ("pilotbase.cli.drill", "make a copy of live traffic worse, and time the alarm and the way back"),
    "usage": ("pilotbase.cli.usage", "what was used and what it cost, and the proof that the ledger adds up"),
    "stop": ("pilotbase.cli.stop", "stop the traffic of a route, of a key, or all of it"),
    "resume": ("pilotbase.cli.resume", "let stopped traffic go on"),
    "admin": ("pilotbase.cli.admin", "members of this base and their tokens; its backup and restore; what is wrong with it"),
    "audit": ("pilotbase.cli.audit", "who changed what, and the proof that the log was not changed"),
    "demo": ("pilotbase.cli.demo", "fill a fresh base with a demonstration to look at"),
    "schema": ("pilotbase.cli.schema", "JSON Schema of pilot.yaml for editors"),
}
