"""PostgreSQL through pg8000: for several gateways on one database.

Writers take turns by an advisory lock that a transaction takes first and the server frees at its end, so that "begin" means here
what BEGIN IMMEDIATE means to SQLite: nobody else writes until this block has ended, and everything committed before is seen.
A connection that broke is opened again for a read, or to begin a transaction; inside one it is an error.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, TypeVar

from pilotbase.errors import UserError
from pilotbase.store.address import Address, connect_socket
from pilotbase.store.dialect import HIDDEN, number, parameters, row_maker, schema, statement
from pilotbase.store.driver import Row, Values
from pilotbase.store.sqlstate import explain, gone

__all__ = ["Postgres"]

T = TypeVar("T")

_WRITER = 0x70696C6F74  # the lock's number: "pilot"
_BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({_WRITER})"
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM pg_tables"
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
_CONNECT = 10.0
_SPARE = 5.0
_STATEMENTS = 100
_BOOL, _NUMERIC = 16, 1700
_HINT = "run the same command again; what was recorded is kept"


class _Lost(Exception):
    """The connection is of no use any more."""


class Postgres:
    """One connection to the database at `address`.

    Waiting for a lock ends after `timeout` seconds, a statement after twice that, waiting for a silent server 5 seconds later,
    and for one that cannot be reached after 10. A transaction in which nothing is asked for twice `timeout` is ended by the
    server, which frees its lock. With `read` the server lets nothing be changed.
    """

    __slots__ = ("_address", "_closed", "_connection", "_inside", "_library", "_read", "_statements", "_timeout", "where")

    def __init__(self, address: Address, *, timeout: float, read: bool = False) -> None:
        self.where = address.where
        self._address = address
        self._timeout = timeout
        self._read = read
        self._library = _library(self.where)
        self._connection: Any = None
        self._statements: OrderedDict[tuple[str, tuple[int, ...]], tuple[Any, ...]] = OrderedDict()
        self._inside = False
        self._closed = False
        self._connection = self._open()

    def begin(self) -> None:
        try:
            self._say(_BEGIN, again=True)
        except BaseException:
            self.roll_back()
            raise
        self._inside = True

    def commit(self) -> None:
        self._say("COMMIT", lost="the connection was lost during the commit: it may have happened")
        self._inside = False

    def roll_back(self) -> None:
        self._inside = False
        if self._connection is not None:
            try:
                self._connection.execute_simple("ROLLBACK")
            except (self._library.DatabaseError, self._library.InterfaceError, OSError, struct.error):
                # The server rolls back what a closed connection left.
                self._drop()
            except BaseException:
                self._drop()
                raise

    def execute(self, sql: str, values: Values) -> int:
        return self._writing(lambda: self._run(sql, values)[0])

    def execute_many(self, sql: str, values: Iterable[Values]) -> int:
        return sum(self._run(sql, each)[0] for each in values)

    def rows(self, sql: str, values: Values) -> list[Row]:
        if self._inside or sql.lstrip()[:6].upper() != "SELECT":
            return self._writing(lambda: self._run(sql, values)[1])
        return self._run(sql, values, again=True)[1]

    def row(self, sql: str, values: Values) -> Row | None:
        found = self.rows(sql, values)
        return found[0] if found else None

    def begin_reading(self) -> None:
        try:
            self._say(_SNAPSHOT, again=True)  # the first read fixes what is seen
        except BaseException:
            self.roll_back()
            raise
        self._inside = True

    def tables(self) -> list[str]:
        found = self.rows(
            "SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = current_schema() AND c.relkind = 'r' ORDER BY c.oid",
            (),
        )
        return [row["name"] for row in found if row["name"] != "schema_version"]

    def columns(self, table: str) -> list[str]:
        return [name for name in self._all_columns(table) if name != HIDDEN]

    def pages(self, table: str, size: int) -> Iterator[list[Row]]:
        every = self._all_columns(table)
        names = ", ".join(f'"{name}"' for name in every if name != HIDDEN)
        order = f" ORDER BY {HIDDEN}" if HIDDEN in every else ""
        self._say(f'DECLARE "pages_{table}" NO SCROLL CURSOR FOR SELECT {names} FROM "{table}"{order}')
        while found := self.rows(f'FETCH {size} FROM "pages_{table}"', ()):
            yield found
        self._say(f'CLOSE "pages_{table}"')

    def faults(self, *, deep: bool) -> list[str]:
        """None: PostgreSQL checks its files by itself where it has checksums, and `amcheck` is for its administrator."""
        self.rows("SELECT count(*) AS n FROM pg_tables", ())
        return []

    def _all_columns(self, table: str) -> list[str]:
        found = self.rows(
            "SELECT column_name AS name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
            (table,),
        )
        return [row["name"] for row in found]

    def version(self) -> int:
        # Not to_regclass: under the lock it may still remember that there was no table, for it locks none.
        if not self.rows("SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'schema_version'", ()):
            return 0
        return int(self.rows("SELECT max(version) AS n FROM schema_version", ())[0]["n"])

    def migrate(self, scripts: Sequence[str], version: int) -> None:
        """Each migration is one request of several statements, in the transaction that holds the lock."""
        self._say("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
        for script in map(schema, scripts):
            self._say(script)
        self.execute("DELETE FROM schema_version", ())
        self.execute("INSERT INTO schema_version (version) VALUES (?)", (version,))

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _writing(self, work: Callable[[], T]) -> T:
        """Work inside the transaction that is open, or in one of its own."""
        if self._inside:
            return work()
        self.begin()
        try:
            result = work()
            self.commit()
        except BaseException:
            self.roll_back()
            raise
        return result

    def _run(self, sql: str, values: Values, *, again: bool = False) -> tuple[int, list[Row]]:
        said, names = statement(sql)
        texts, kinds = parameters(values, names, self.where)

        def work(connection: Any) -> tuple[int, list[Row]]:
            prepared, columns, readers = self._prepared(connection, said, kinds)
            context = connection.execute_named(prepared, texts, columns, readers, said)
            if not columns:
                return context.row_count, []
            make = row_maker(sql, [column["name"] for column in columns])
            return context.row_count, [make(found) for found in context.rows]

        return self._ask(work, again=again)

    def _prepared(self, connection: Any, sql: str, kinds: tuple[int, ...]) -> tuple[Any, ...]:
        """The statement as the server knows it; the least used one is forgotten."""
        known = self._statements.get((sql, kinds))
        if known is None:
            if len(self._statements) >= _STATEMENTS:
                _, oldest = self._statements.popitem(last=False)
                connection.close_prepared_statement(oldest[0])
            known = self._statements[sql, kinds] = connection.prepare_statement(sql, kinds)
        self._statements.move_to_end((sql, kinds))
        return known

    def _say(self, sql: str, *, again: bool = False, lost: str = "the connection was lost") -> None:
        """Run statements that take no values and return nothing, in one request."""
        self._ask(lambda connection: connection.execute_simple(sql), again=again, lost=lost)

    def _ask(self, work: Callable[[Any], T], *, again: bool = False, lost: str = "the connection was lost") -> T:
        """Ask the server, and with `again` once more where the connection turns out to be broken."""
        try:
            return self._once(work)
        except _Lost as first:
            if not again:
                raise self._lost(lost) from first.__cause__
        try:
            return self._once(work)
        except _Lost as second:
            raise self._lost(lost) from second.__cause__

    def _once(self, work: Callable[[Any], T]) -> T:
        library = self._library
        try:
            if self._connection is None:
                if self._closed:
                    raise ValueError(f"the database {self.where} is closed")
                if self._inside:
                    raise _Lost
                self._connection = self._open()
            return work(self._connection)
        except library.DatabaseError as error:
            found = _fields(error)
            if gone(found):
                self._drop()
                raise _Lost from error
            known = explain(found, self.where)
            if known is None:
                raise
            raise known from error
        except (library.InterfaceError, OSError, struct.error) as error:
            self._drop()
            raise _Lost from error
        except BaseException:
            # Interrupted in the middle of an answer: the next question would read the rest of this one.
            self._drop()
            raise

    def _lost(self, message: str) -> UserError:
        return UserError(f"{message} (PostgreSQL closed it, or did not answer)", where=self.where, hint=_HINT, status=503)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        self._statements.clear()
        if connection is not None:
            try:
                connection.close()
            except (self._library.InterfaceError, OSError, ValueError):
                return  # it was broken, and the socket is closed all the same

    def _open(self) -> Any:
        """A new connection with its limits set. UserError where it is refused."""
        library, address = self._library, self._address
        whole = str(max(1, round(self._timeout * 2000)))
        limits = {
            "client_encoding": "UTF8",
            "lock_timeout": str(max(1, round(self._timeout * 1000))),
            "statement_timeout": whole,
            "idle_in_transaction_session_timeout": whole,
            "default_transaction_read_only": "on" if self._read else "off",
        }
        tls = address.tls()
        plain = connect_socket(address, _CONNECT)
        try:
            plain.settimeout(self._timeout * 2 + _SPARE)
            connection = library.CoreConnection(
                address.user,
                host=address.host,
                database=address.name,
                password=address.password or "",
                ssl_context=tls,
                sock=plain,
                application_name="pilotbase",
                startup_params=limits,
            )
        except (
            library.DatabaseError,
            library.InterfaceError,
            library.scramp.ScramException,
            OSError,
            struct.error,
            LookupError,
            ValueError,
        ) as error:
            # Whoever listens there may say anything: the last three are what unreadable answers end in.
            plain.close()
            raise self._refused(error) from error
        except BaseException:
            plain.close()
            raise
        encoding = connection.parameter_statuses.get("server_encoding")
        if encoding != "UTF8":
            connection.close()
            hint = "create one with ENCODING 'UTF8', and name it in PILOTBASE_DATABASE"
            raise UserError(f"the database keeps text as {encoding}, not as UTF8", where=self.where, hint=hint)
        connection.register_in_adapter(_NUMERIC, number)
        connection.register_in_adapter(_BOOL, lambda text: int(text == "t"))
        connection.execute_simple(_DURABLE)
        return connection

    def _refused(self, error: BaseException) -> UserError:
        # Closing what the server refused may fail in turn, and then hides why.
        said = error if isinstance(error, self._library.DatabaseError) else error.__context__
        if isinstance(said, self._library.DatabaseError):
            found = _fields(said)
            return explain(found, self.where) or UserError(
                f"PostgreSQL refused the connection ({found.get('M', 'no message')})",
                where=self.where,
                hint="correct PILOTBASE_DATABASE, or look into the server's log",
                status=503,
            )
        if isinstance(error, OSError):
            why = getattr(error, "verify_message", None) or error.strerror or "no answer in time"
            hint = "let `sslmode` and `sslrootcert` in PILOTBASE_DATABASE fit the server's certificate"
        elif isinstance(error, self._library.InterfaceError) and "refuses SSL" in str(error):
            why, hint = "it offers no TLS", "set sslmode=disable in PILOTBASE_DATABASE, or set up TLS on the server"
        else:
            why, hint = "it does not speak PostgreSQL's protocol as expected", "check host and port in PILOTBASE_DATABASE"
        return UserError(f"could not connect to PostgreSQL: {why}", where=self.where, hint=hint, status=503)


def _fields(error: Any) -> dict[str, str]:
    found = error.args[0] if error.args else None
    return found if isinstance(found, dict) else {}


def _library(where: str) -> ModuleType:
    # Imported here: it is optional, and who stays with SQLite need not wait for it.
    try:
        import pg8000.core
    except ImportError:
        raise UserError(
            "PostgreSQL needs the package pg8000, which is not installed",
            where=where,
            hint="install it with: pip install 'pilotbase[postgres]'",
        ) from None
    library: ModuleType = pg8000.core
    return library
