"""The record of a case as a file, and its verification: here against the database, elsewhere against the file alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilotbase.catalog.case_records import Report, envelopes, exported, read_export, verify_records
from pilotbase.catalog.cases import require
from pilotbase.context import Context
from pilotbase.dossier import trust
from pilotbase.errors import UserError
from pilotbase.signing import Key

__all__ = ["Checked", "check_case", "check_export", "export_case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A report, and the signers that are not trusted here."""

    report: Report
    strangers: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 whole and trusted, 1 changed, 3 whole, signer unknown."""
        return 1 if self.report.broken is not None else 3 if self.strangers else 0


def export_case(context: Context, case: str) -> dict[str, Any]:
    """The signed records of a case with the base's public key. UserError (404) where there is none."""
    require(context.database, case)
    public = Key.load_or_create(context.home).public_text("base")
    return exported(case, envelopes(context.database, case), public)


def check_case(context: Context, case: str) -> Checked:
    """Verify a case of this home: each record, and that none was cut off. UserError (404) where there is none."""
    stored = require(context.database, case)
    report = verify_records(envelopes(context.database, case), case=case, count=stored.records, head=stored.head)
    return Checked(report=report, strangers=_strangers(context, report, signer=None, extra={}))


def check_export(context: Context, path: Path, *, signer: str | None = None, trust_file: Path | None = None) -> Checked:
    """Verify an export of another base, by the keys trusted here, those of a trust file, or the one `signer` (a fingerprint).

    The key that stands in the file proves nothing. UserError where the file cannot be read, or is no export.
    """
    try:
        case, documents = read_export(path.read_bytes(), str(path))
        extra = trust.read_file(trust_file.read_text("utf-8"), where=str(trust_file)) if trust_file is not None else {}
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(error.filename or path)) from None
    report = verify_records(documents, case=case)
    return Checked(report=report, strangers=_strangers(context, report, signer=signer, extra=extra))


def _strangers(context: Context, report: Report, *, signer: str | None, extra: Mapping[str, Any]) -> tuple[str, ...]:
    own = Key.load_or_create(context.home).key_id

    def known(key: str) -> bool:
        state = trust.state(context.database, key)
        if state == "revoked" or (signer is not None and key != signer):
            return False
        return state == "trusted" or key in (own, signer) or key in extra

    return tuple(one for one in report.signers if not known(one))
