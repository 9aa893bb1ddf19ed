"""A small dossier of two candidates, and ways to forge it: change a folder's files and seal what results with any key."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pilotbase.domain.canonical import canonical, digest
from pilotbase.dossier import statement
from pilotbase.dossier.commitments import codes, commit_all, frame
from pilotbase.dossier.files import open_files
from pilotbase.dossier.seal import Materials, seal
from pilotbase.dossier.tables import read_table
from pilotbase.dossier.verify import Trusted, Verification, verify
from pilotbase.dsse import KeyedSigner, build
from pilotbase.signing import Key
from pilotbase.store.disk import Disk

SECRET = bytes(range(32))
SCORES = {"alpha": [1.0, 1.0, 1.0, 0.0, 1.0], "beta": [0.0, 1.0, 0.0, 0.0, 1.0]}
NAMES = [f"case {i}" for i in range(5)]


def rederive(record: Mapping[str, Any], read_file: Callable[[str], bytes]) -> Mapping[str, Any]:
    """The naive result: a candidate passes where the mean of its scores is at least the threshold of the criteria."""
    least = record["criteria"]["document"]["least"]
    candidates = []
    for name, entry in record["scores"].items():
        scores = read_table(read_file(entry["file"]), where=entry["file"])["v0"]
        value = scores.mean()
        verdict = "pass" if value >= least else "fail"
        check = {"id": "accuracy", "verdict": verdict, "value": value, "n": len(scores), "literal": None, "reasons": ["fresh"]}
        candidates.append({"id": name, "verdict": verdict, "gates": [{"gate": "capability", "checks": [check]}]})
    best = "pass" if any(found["verdict"] == "pass" for found in candidates) else "fail"
    return {"schema": "pilotbase.run/1", "verdict": best, "candidates": candidates}


def materials(*, confirmatory: bool = True, enclosed: Mapping[str, Path | bytes] | None = None) -> Materials:
    """Everything of the small dossier, its result as `rederive` would give it."""
    criteria = {"least": 0.6}
    tables = {name: pl.DataFrame({"position": range(5), "v0": values}) for name, values in SCORES.items()}
    checks = {name: sum(values) / 5 for name, values in SCORES.items()}
    candidates = [
        {
            "id": name,
            "verdict": "pass" if value >= 0.6 else "fail",
            "gates": [
                {
                    "gate": "capability",
                    "checks": [
                        {
                            "id": "accuracy",
                            "verdict": "pass" if value >= 0.6 else "fail",
                            "value": value,
                            "n": 5,
                            "literal": None,
                            "reasons": ["as sealed"],
                        }
                    ],
                }
            ],
        }
        for name, value in checks.items()
    ]
    record = {
        "schema": "pilotbase.dossier/1",
        "made": "2026-11-21T10:00:00+00:00",
        "run": {"id": "r1", "status": "complete"},
        "confirmatory": confirmatory,
        "criteria": {"digest": digest(criteria), "document": criteria, "witness": None},
        "data": {"digest": digest("data")},
        "candidates": [{"id": name, "fingerprint": digest(name)} for name in SCORES],
        "result": {"schema": "pilotbase.run/1", "verdict": "pass", "candidates": candidates},
    }
    return Materials(
        record=record,
        scores=tables,
        cases=pl.DataFrame({"position": range(5), "g:site": codes(SECRET, "site", ["a", "b", "a", None, "b"])}),
        loads={("alpha", "1"): pl.DataFrame({"latency": [0.1, 0.2]})},
        commitments={name: frame(commit_all(SECRET, name, [({"text": case}, "yes") for case in NAMES])) for name in SCORES},
        enclosed=enclosed or {},
    )


def report(record: Mapping[str, Any]) -> bytes:
    """A renderer."""
    return f"run {record['run']['id']}: {record['result']['verdict']}\n".encode()


def sealed(out: Path, key: KeyedSigner, disk: Disk | None = None, **changes: Any) -> Path:
    """The small dossier as the folder `out`."""
    return seal(materials(**changes), key, out, {"report.md": report}, disk)


def forged(folder: Path, out: Path, key: Key, change: Callable[[dict[str, Any], Path], None]) -> Path:
    """A copy of a dossier that `change` altered (its record, its folder), all digests made to fit, sealed with `key`."""
    shutil.copytree(folder, out)
    record = json.loads((out / statement.RECORD).read_bytes())
    change(record, out)
    with open_files(out) as files:
        digests = {name: files.digest(name) for name in files.sizes if name not in statement.UNSIGNED}
    for entry in [*record["scores"].values(), record["cases"], *record["loads"], *record["commitments"].values()]:
        entry["digest"] = digests.get(entry["file"], entry["digest"])
    (out / statement.RECORD).write_bytes(canonical(record))
    with open_files(out) as files:
        digests[statement.RECORD] = files.digest(statement.RECORD)
    claimed = statement.predicate(record, digests[statement.RECORD], key.key_id)
    envelope = build(statement.write(digests, claimed), statement.PAYLOAD_TYPE, key)
    (out / statement.ENVELOPE).write_bytes(envelope.bytes())
    return out


def trusting(*keys: Key, revoked: tuple[Key, ...] = ()) -> Trusted:
    """A home that trusts these keys."""
    known: dict[str, Any] = {key.key_id: "trusted" for key in keys} | {key.key_id: "revoked" for key in revoked}
    return known.get


def verified(path: Path, *keys: Key, signer: str | None = None, revoked: tuple[Key, ...] = ()) -> Verification:
    """What verify says where these keys are trusted."""
    return verify(path, trusted=trusting(*keys, revoked=revoked), rederive=rederive, signer=signer)
