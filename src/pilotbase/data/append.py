"""Adding cases from incidents to a file of cases, so that the next trial covers them.

The file stays as its owner wrote it: rows are added behind its own, in its format, separator, quotes, encoding and line ends,
and all of them or none. What was added is read back by the reader of trials before it takes the old file's place.
"""

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pilotbase.data.encoding import BLOCK, Undecodable, choose_encoding, digest_file, guess_after, read_blocks
from pilotbase.data.media import check_media
from pilotbase.data.reading import Table, find_file, read_table
from pilotbase.domain.evidence import canonical_label
from pilotbase.domain.pilot import TestData
from pilotbase.domain.problem import nearest
from pilotbase.errors import InvalidInput, UserError
from pilotbase.store.disk import Disk, Handle

__all__ = ["Case", "Plan", "append_cases", "plan_cases", "read_cases"]

Case = Mapping[str, Any]
_MOST = 1000
_LARGEST = 16 << 20
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What adding some cases to a file means. `ids` are those of all cases, in the order given; `new` are the rows that the
    file does not hold yet, and `added` their ids; `before` is the file's digest; `column` names the incident's, and `gains`
    tells whether the file gets it first.
    """

    path: Path
    spec: TestData
    column: str
    ids: tuple[str, ...]
    added: tuple[str, ...]
    new: tuple[Case, ...]
    before: str
    rows: int
    types: Mapping[str, pl.DataType]
    header: tuple[str, ...]
    gains: bool


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a file: one JSON object, a list of them, JSON Lines, or CSV. UserError or InvalidInput for anything else."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=str(path), hint="name a file of cases") from None
    if raw is None:
        raise UserError(
            "over 16 MiB: a regression case is a case, not a data set", where=path.name, hint="keep the few that failed"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"byte {error.start} is not UTF-8", where=path.name, hint="save the cases as UTF-8") from None
    found = _table_of(text, path) if path.suffix.lower() in (".csv", ".tsv") else _objects_of(text, path)
    if not 1 <= len(found) <= _MOST:
        raise UserError(f"{len(found):,} cases: 1 to {_MOST:,} are due", where=path.name, hint="put in the cases that failed")
    return found


def _table_of(text: str, path: Path) -> list[dict[str, Any]]:
    lines = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=_separator(path)) if row]
    if not lines:
        return []
    header = lines[0]
    wrong = [f"{path.name}, row {i}: {len(row)} fields where the header has {len(header)}" for i, row in enumerate(lines[1:], 1)
             if len(row) != len(header)]  # fmt: skip
    if wrong:
        raise InvalidInput(f"{path.name}: records of unequal width", wrong[:_SHOWN], hint="quote fields that hold a separator")
    return [{name: cell if cell != "" else None for name, cell in zip(header, row, strict=True)} for row in lines[1:]]


def _objects_of(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        whole = orjson.loads(text)
        parts = whole if isinstance(whole, list) else [whole]
    except orjson.JSONDecodeError:
        parts = [_line(line, i, path) for i, line in enumerate(io.StringIO(text), 1) if line.strip()]
    wrong = [f"{path.name}: case {i} is no object" for i, part in enumerate(parts, 1) if not isinstance(part, dict)]
    if wrong:
        raise InvalidInput(
            f"{path.name}: cases cannot be read", wrong[:_SHOWN], hint='a case is an object: {"id": "x1", "text": "..."}'
        )
    return parts


def _line(line: str, number: int, path: Path) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        hint = "write one JSON object, one object a line, or a CSV file with a header"
        raise UserError(f"not JSON: {error.msg}", where=f"{path.name}, line {number}", hint=hint) from None


def plan_cases(spec: TestData, folder: Path, incident: str, cases: Sequence[Case]) -> Plan:
    """Check cases of an incident against a pilot's data, and find out which of them it holds already. Writes nothing.

    Every input must be named (it may be null), and the target, the id, each group and the cluster must have a value, where the
    pilot declares them. InvalidInput with everything that is wrong at once.
    """
    assert spec.incident is not None, "the caller refuses a pilot whose data declares no incident column"
    path = find_file(spec.path, folder).resolve()
    before = digest_file(path)
    header = tuple(_header(path, spec))
    gains = spec.incident not in header
    table = read_table(path, replace(spec, incident=None) if gains else spec)
    problems: list[str] = []
    new: list[Case] = []
    ids: list[str] = []
    added: list[str] = []
    for number, case in enumerate(cases, 1):
        where = f"case {number}" + (f" (`{case[spec.id]}`)" if spec.id and case.get(spec.id) is not None else "")
        wrong = list(_shape_problems(case, spec, incident, header, path))
        fitted, misfits = _fitted({**case, spec.incident: incident}, table)
        wrong += [*misfits, *_label_problems(fitted, spec, table, path)]
        row = None if wrong else _present(fitted, spec, incident, table, gains=gains)
        own = str(canonical_label(fitted.get(spec.id))) if spec.id else ""
        if not wrong and row is None and spec.id:
            wrong += _id_problems(own, ids, table, spec.id, path)
        problems += [f"{where}: {one}" for one in wrong]
        if row is None and fitted not in new:
            new.append(fitted)
            added.append(own or str(table.rows + len(new)))
        ids.append(own or str((row if row is not None else table.rows + new.index(fitted)) + 1))
    problems += check_media([pl.Series(n, [c.get(n) for c in new], dtype=pl.String, strict=False) for n in spec.media], path)
    if problems:
        hint = f"a case has the columns of {path.name}: {', '.join(_columns(spec))}"
        raise InvalidInput(f"the cases do not fit {path.name}", problems[:_SHOWN], hint=hint)
    types = {name: column.dtype for name, column in table.columns.items() if column.null_count() < table.rows}
    return Plan(
        path=path,
        spec=spec,
        column=spec.incident,
        ids=tuple(dict.fromkeys(ids)),
        added=tuple(added),
        new=tuple(new),
        before=before,
        rows=table.rows,
        types=types,
        header=header,
        gains=gains,
    )


def _columns(spec: TestData) -> list[str]:
    return list(dict.fromkeys(c for c in (spec.id, *spec.inputs, spec.target, *spec.groups, spec.cluster) if c))


def _shape_problems(case: Case, spec: TestData, incident: str, header: Sequence[str], path: Path) -> Iterator[str]:
    for name in case:
        if name not in header and name != spec.incident:
            near = nearest(name, header)
            yield f"{path.name} has no column `{name}`" + (f"; did you mean `{near}`?" if near else "")
    for name in spec.inputs:
        if name not in case:
            yield f"the input `{name}` is missing; write null where it has no value"
    if all(_empty(case.get(name)) for name in spec.inputs):
        yield "no input has a value"
    due = [(spec.id, "id"), (spec.target, "target"), *((g, "group") for g in spec.groups), (spec.cluster, "cluster")]
    for column, role in due:
        if column is not None and _empty(case.get(column)):
            yield f"the {role} `{column}` has no value"
    told = case.get(spec.incident or "")
    if not _empty(told) and told != incident:
        yield f"`{spec.incident}` says {told}, and this is incident {incident}; leave it out"


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _fitted(case: Case, table: Table) -> tuple[dict[str, Any], list[str]]:
    """The case with its values in the types of the data's columns, and what does not fit them."""
    fitted: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in case.items():
        column = table.columns.get(name)
        try:
            fitted[name] = value if column is None or column.null_count() == table.rows else _fit(value, column.dtype)
        except ValueError as error:
            fitted[name] = value
            wrong.append(f"`{name}` is {error}, found `{str(value)[:40]}`")
    return fitted, wrong


def _fit(value: Any, dtype: pl.DataType) -> Any:
    """Raises ValueError with what the column holds."""
    if value is None:
        return None
    if dtype.is_numeric():
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise ValueError("a column of numbers")
        return value if isinstance(value, (int, float)) else int(value) if str(value).strip().lstrip("+-").isdecimal() else number
    if dtype == pl.Boolean:
        spelled = str(value).lower()
        if spelled not in ("true", "false"):
            raise ValueError("a column of true and false")
        return spelled == "true"
    if dtype.is_nested():
        found = _json(value) if isinstance(value, str) else value
        if not isinstance(found, (list, dict)):
            raise ValueError("a column of lists or records")
        return found
    if isinstance(value, (list, dict)):
        raise ValueError("a column of text")
    return value if isinstance(value, str) else canonical_label(value)


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _label_problems(case: Case, spec: TestData, table: Table, path: Path) -> Iterator[str]:
    """A mistyped label would be a class of its own in the next trial."""
    if spec.target is None or spec.positive is None or _empty(case.get(spec.target)):
        return
    known = {canonical_label(value) for value in table.columns[spec.target].unique().drop_nulls()}
    if canonical_label(case[spec.target]) not in known:
        told = ", ".join(f"`{label}`" for label in sorted(filter(None, known))[:_SHOWN])
        yield f"the target `{spec.target}` is `{str(case[spec.target])[:40]}`, and {path.name} knows {told}"


def _present(case: Case, spec: TestData, incident: str, table: Table, *, gains: bool) -> int | None:
    """The row, from 0, that this very case has in the data already."""
    if gains or spec.incident is None:
        return None
    of_incident = table.columns[spec.incident].cast(pl.String) == incident
    if spec.id is not None and table.ids is not None:
        of_incident &= table.ids == canonical_label(case.get(spec.id))
    names = [name for name in _columns(spec) if name != spec.id]
    for row in of_incident.arg_true():
        if all(_spelled(table.columns[name][row]) == _spelled(case.get(name)) for name in names):
            return int(row)
    return None


def _spelled(value: Any) -> Any:
    if isinstance(value, pl.Series):
        value = value.to_list()
    if isinstance(value, (list, dict)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return canonical_label(value) or None


def _id_problems(own: str, others: Sequence[str], table: Table, name: str, path: Path) -> Iterator[str]:
    if own in others:
        yield f"the id `{own}` is given twice"
    if table.ids is not None and len(rows := (table.ids == own).arg_true()):
        yield f"the id `{own}` is used in row {int(rows[0]) + 1} of {path.name} for another case; choose another `{name}`"


def append_cases(disk: Disk, plan: Plan) -> str:
    """Put the new cases behind the file's rows, durably, all or none; gives the file's digest after it.

    UserError where the file changed since it was planned, where its encoding cannot hold a case, or where what was written
    would not be read as it was meant; the file is then as it was.
    """
    folder, suffix = plan.path.parent, plan.path.suffix
    head, tail = f".{plan.path.stem}.", f".adding{suffix}"
    for left in disk.names(folder):
        if left.startswith(head) and left.endswith(tail):
            disk.remove(folder / left)  # of a process that was killed meanwhile
    if not plan.new:
        return plan.before
    draft = folder / f"{head}{os.getpid()}{tail}"
    try:
        _write(disk, plan, draft)
        _check(draft, plan)
        after = digest_file(draft)
        if digest_file(plan.path) != plan.before:
            raise UserError(
                "it was changed meanwhile", where=str(plan.path), hint="run the same command again; nothing was added"
            )
        disk.replace(draft, plan.path)
    except BaseException:
        disk.remove(draft)
        raise
    return after


def _write(disk: Disk, plan: Plan, draft: Path) -> None:
    handle = disk.create(draft, plan.path.stat().st_mode & 0o777)
    try:
        if plan.path.suffix.lower() == ".parquet":
            handle.write(_parquet(plan))
        else:
            _write_text(handle, plan, _codec(plan.path, plan.spec.encoding))
        handle.sync()
    finally:
        handle.close()


def _check(draft: Path, plan: Plan) -> None:
    """Read the draft as a trial would: one row more for each case, and no column of another type."""
    try:
        table = read_table(draft, plan.spec)
    except UserError as error:
        message = f"the cases cannot be added: {error.message.replace(draft.name, plan.path.name)}"
        raise UserError(message, where=plan.path.name, hint=error.hint) from None
    turned = [
        f"`{name}`"
        for name, column in table.columns.items()
        if name in plan.types
        and column.dtype != plan.types[name]
        and not (column.dtype.is_numeric() and plan.types[name].is_numeric())
    ]
    if table.rows != plan.rows + len(plan.new) or turned:
        what = f"column {', '.join(turned)} would be read as another type" if turned else "rows would be read otherwise"
        raise UserError(f"the cases cannot be added: {what}", where=plan.path.name, hint="write them as the rows of the file are")


def _write_text(handle: Handle, plan: Plan, codec: str) -> None:
    separator = _separator(plan.path)
    first = _sample(plan.path, codec)
    end = next((e for e in ("\r\n", "\n", "\r") if e in first), "\n")
    suffix = plan.path.suffix.lower()
    if suffix == ".json":
        whole = plan.path.read_bytes().decode(codec)
        close = whole.rindex("]")
        rows = "".join(f",{end}{_object(case)}" for case in plan.new)
        handle.write(_encoded(whole[:close].rstrip() + rows + end + whole[close:], codec, plan))
        return
    if suffix in (".csv", ".tsv") and plan.gains:
        for line in _widened(plan, codec, separator):
            handle.write(line.encode(codec))
    else:
        with plan.path.open("rb") as file:
            while block := file.read(BLOCK):
                handle.write(block)
    if suffix in (".csv", ".tsv"):
        rows = _records(plan, first, separator, end)
    else:
        rows = "".join(_object(case) + end for case in plan.new)
    if not _ends(plan.path, codec):
        rows = end + rows
    handle.write(_encoded(rows, codec, plan))


def _object(case: Case) -> str:
    return orjson.dumps(case).decode()


def _records(plan: Plan, first: str, separator: str, end: str) -> str:
    """The new cases as records, quoted as the file's header is: every field, or those that need it."""
    header = [*plan.header, *([plan.column] if plan.gains else [])]
    all_quoted = separator.join(_quoted(name) for name in plan.header)
    always = first.lstrip("\ufeff").startswith(all_quoted)
    special = (separator, '"', "\r", "\n")

    def written(cell: str) -> str:
        # Left bare, the only field of a record would be an empty line, which readers skip.
        bare = not always and not any(c in cell for c in special) and (cell or len(header) > 1)
        return cell if bare else _quoted(cell)

    return "".join(separator.join(written(_cell(case.get(name))) for name in header) + end for case in plan.new)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, dict)):
        return _object(value) if isinstance(value, dict) else orjson.dumps(value).decode()
    return value if isinstance(value, str) else canonical_label(value) or ""


def _widened(plan: Plan, codec: str, separator: str) -> Iterator[str]:
    """The file's lines with one column more, empty but for its name; a record may span lines within quotes."""
    with plan.path.open(encoding=codec, newline="") as file:
        inside, head = False, True
        for line in file:
            inside ^= line.count('"') % 2 == 1
            body = line.rstrip("\r\n")
            if inside or not (body or head):
                yield line
                continue
            yield body + separator + (plan.column if head else "") + line[len(body) :]
            head = False


def _parquet(plan: Plan) -> bytes:
    known = pl.read_parquet(plan.path, hive_partitioning=False, glob=False)
    if plan.gains:
        known = known.with_columns(pl.lit(None, dtype=pl.String).alias(plan.column))
    try:
        added = pl.DataFrame(
            [_typed(pl.Series(name, [case.get(name) for case in plan.new], strict=False), t) for name, t in known.schema.items()]
        )
    except pl.exceptions.PolarsError as error:
        hint = "write the values as the rows of the file are"
        raise UserError(f"the cases cannot be added: {str(error).splitlines()[0]}", where=plan.path.name, hint=hint) from None
    out = io.BytesIO()
    pl.concat([known, added]).write_parquet(out)
    return out.getvalue()


def _typed(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if column.dtype == pl.String and isinstance(dtype, (pl.Date, pl.Datetime, pl.Time)):
        return column.str.strptime(dtype)
    return column.cast(dtype)


def _separator(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


def _codec(path: Path, declared: str | None) -> str:
    """The name of the file's encoding, such that a byte order mark is one more character of its text."""
    encoding = choose_encoding(path, declared)
    if encoding.codec == "utf-8" and declared is None:
        try:
            for _ in read_blocks(path, encoding):
                pass
        except Undecodable as failure:
            encoding = guess_after(path, failure) or encoding
    if encoding.codec not in ("utf-16", "utf-32"):
        return "utf-8" if encoding.codec == "utf-8-sig" else encoding.codec
    with path.open("rb") as file:
        big = file.read(4).startswith((b"\xfe\xff", b"\0\0\xfe\xff"))
    return f"{encoding.codec}-{'be' if big else 'le'}"


@contextmanager
def _text(path: Path, spec: TestData) -> Iterator[io.TextIOWrapper]:
    with path.open(encoding=_codec(path, spec.encoding), newline="") as file:
        yield file


def _header(path: Path, spec: TestData) -> list[str]:
    """The columns of a data file that has been, or will be, read by the reader of trials, which tells what is wrong with it."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            return list(pl.read_parquet_schema(path))
        with _text(path, spec) as file:
            if suffix in (".csv", ".tsv"):
                first = next(csv.reader(file, delimiter=_separator(path)), [])
                return [first[0].removeprefix("\ufeff"), *first[1:]] if first else []
            found = orjson.loads(file.read().lstrip("\ufeff")) if suffix == ".json" else map(orjson.loads, _filled(file))
            return list(dict.fromkeys(name for record in found for name in record))
    except (pl.exceptions.PolarsError, ValueError, TypeError, OSError, csv.Error):
        read_table(path, spec)
        raise


def _filled(file: io.TextIOWrapper) -> Iterator[str]:
    return (line.lstrip("\ufeff") for line in file if line.strip("\ufeff \t\r\n"))


def _sample(path: Path, codec: str) -> str:
    with path.open(encoding=codec, newline="", errors="ignore") as file:
        return file.read(1 << 20)


def _ends(path: Path, codec: str) -> bool:
    """Whether the file's last character ends a line."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4))
        last = file.read()
    return last.endswith(("\n".encode(codec), "\r".encode(codec)))


def _encoded(text: str, codec: str, plan: Plan) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        shown = text[error.start : error.start + 1]
        hint = "save the data file as UTF-8, then run the same command again"
        raise UserError(f"a case holds {shown!r}, which {codec} has no place for", where=plan.path.name, hint=hint) from None
