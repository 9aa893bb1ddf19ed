"""What a writer does with what the one before it left behind, after any interruption."""

from dataclasses import dataclass
from pathlib import Path

from pilotbase.errors import UserError
from pilotbase.store.chain import SegmentInfo, check_link
from pilotbase.store.disk import Disk
from pilotbase.store.journal import journal_name, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What opening a log found: rows kept in the open journal, bytes of a torn tail cut off, files removed or set aside."""

    rows: int = 0
    bytes_cut: int = 0
    removed: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()


def recover(folder: Path, kinds: dict[str, str], infos: list[SegmentInfo], disk: Disk) -> Recovery:
    """Bring the folder to a state from which the writer can go on; running it again changes nothing more.

    The index decides. Sealing writes the segment, adds it to the index and only then removes the journal, hence:
    a journal whose segment is indexed is spent; a segment that is not indexed is a copy of its journal, if that is there;
    if it is not, the segment came from `append_columns` that never returned, and it is set aside under another name.
    More than one segment beyond the index cannot come from an interruption: then the index was lost, and nothing is touched.
    """
    before: SegmentInfo | None = None
    for info in infos:
        check_link(before, info, str(folder / info.name))
        before = info
    names = disk.names(folder)
    following = len(infos) + 1
    for name in names:
        stem, _, suffix = name.partition(".")
        if suffix in ("parquet", "journal") and stem.isdigit() and int(stem) > following:
            raise UserError(
                f"not in the index, which ends at segment {len(infos)}",
                where=str(folder / name),
                hint="restore the database together with the folder of segments from one backup",
            )
    rows, cut = _mend_journal(folder / journal_name(following), kinds, disk)
    removed = [name for name in names if name.endswith(".tmp")]
    removed += [name for name in names if name.endswith(".journal") and int(name.partition(".")[0]) < following]
    orphan = f"{following:08d}.parquet"
    aside: tuple[str, ...] = ()
    if orphan in names and rows:
        removed.append(orphan)
    elif orphan in names:
        disk.replace(folder / orphan, folder / f"{orphan}.unindexed")
        aside = (f"{orphan}.unindexed",)
    for name in removed:
        disk.remove(folder / name)
    return Recovery(rows=rows, bytes_cut=cut, removed=tuple(removed), set_aside=aside)


def _mend_journal(path: Path, kinds: dict[str, str], disk: Disk) -> tuple[int, int]:
    """Cut the torn tail of a journal, or remove one without rows; returns rows kept and bytes cut."""
    data = disk.find(path)
    if data is None:
        return 0, 0
    payloads, valid = rows_of(data, kinds, str(path))
    cut = len(data) - valid
    if not payloads:
        disk.remove(path)
    elif cut:
        handle = disk.append(path)
        try:
            handle.truncate(valid)
            handle.sync()
        finally:
            handle.close()
    return len(payloads), cut
