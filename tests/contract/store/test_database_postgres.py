"""What PostgreSQL alone must do: broken connections, waits that end, addresses, TLS, and no password anywhere."""

import re
import signal
import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from tests.fakes.postgres import ask, query

from pilotbase.app import opened
from pilotbase.errors import UserError
from pilotbase.settings import Settings, read_settings
from pilotbase.store.address import parse_address
from pilotbase.store.database import Database, migrations

INSERT = "INSERT INTO runs (run, pilot, state, created, updated) VALUES (?, 'p', 's', 'now', 'now')"
SECRET = "s3cret/p@ss"
ADDRESS = f"postgresql://ward:{quote(SECRET, safe='')}@db.example:6432/base"
KILL = (
    "SELECT count(pg_terminate_backend(pid)) AS n FROM pg_stat_activity WHERE application_name = 'pilotbase' AND datname = '{}'"
)


def kill(url: str) -> None:
    """End every connection of pilotbase to this database, and wait until the server has."""
    name = urlsplit(url).path[1:]
    admin = url.replace(name, "postgres")
    assert ask(admin, KILL.format(name))[0][0]
    left = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pilotbase' AND datname = '{name}'"
    while ask(admin, left)[0][0]:
        pass


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with Database(postgres_url) as found:
        yield found


def test_a_read_and_a_transaction_survive_a_killed_backend(database: Database, postgres_url: str) -> None:
    database.execute(INSERT, ("a",))
    kill(postgres_url)
    assert [row["run"] for row in database.rows("SELECT run FROM runs")] == ["a"]
    kill(postgres_url)
    database.execute(INSERT, ("b",))
    kill(postgres_url)
    with database.transaction():
        database.execute(INSERT, ("c",))
    assert [row["run"] for row in database.rows("SELECT run FROM runs ORDER BY run")] == ["a", "b", "c"]


def test_a_backend_killed_inside_a_transaction_fails_the_whole_block(database: Database, postgres_url: str) -> None:
    with pytest.raises(UserError, match="the connection was lost") as caught, database.transaction():
        database.execute(INSERT, ("a",))
        kill(postgres_url)
        database.execute(INSERT, ("b",))
    assert caught.value.status == 503 and "run the same command again" in str(caught.value)
    assert database.rows("SELECT run FROM runs") == []
    database.execute(INSERT, ("c",))
    assert [row["run"] for row in database.rows("SELECT run FROM runs")] == ["c"]


def test_what_is_asked_after_a_lost_connection_is_not_written_outside_the_transaction(
    database: Database, postgres_url: str
) -> None:
    with pytest.raises(RuntimeError, match="an error ended this transaction"), database.transaction():
        kill(postgres_url)
        with pytest.raises(UserError, match="the connection was lost"):
            database.execute(INSERT, ("a",))
        with pytest.raises(RuntimeError):
            database.execute(INSERT, ("b",))
    assert database.rows("SELECT run FROM runs") == []


def test_a_connection_lost_at_the_commit_leaves_it_open_whether_it_happened(database: Database, postgres_url: str) -> None:
    with pytest.raises(UserError, match="lost during the commit: it may have happened"), database.transaction():
        database.execute(INSERT, ("a",))
        kill(postgres_url)
    assert database.rows("SELECT run FROM runs") == []


def test_a_statement_that_takes_too_long_is_ended(postgres_url: str) -> None:
    with Database(postgres_url, timeout=0.1) as database:
        with pytest.raises(UserError, match="a statement did not end in time"):
            database.rows("SELECT pg_sleep(60)")
        assert database.row("SELECT 1 AS one")["one"] == 1


def test_a_writer_that_falls_asleep_loses_its_lock(postgres_url: str) -> None:
    with Database(postgres_url, timeout=0.1) as asleep, Database(postgres_url) as other:
        with pytest.raises(UserError, match="the connection was lost"), asleep.transaction():
            asleep.execute(INSERT, ("a",))
            other.execute(INSERT, ("b",))
            asleep.execute(INSERT, ("c",))
        assert [row["run"] for row in other.rows("SELECT run FROM runs")] == ["b"]


def test_an_interrupted_answer_is_not_taken_for_the_next_one(database: Database) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            database.rows("SELECT pg_sleep(30)")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert database.row("SELECT 7 AS seven")["seven"] == 7


def test_a_commit_is_durable_where_the_server_would_not_wait(postgres_url: str) -> None:
    name = urlsplit(postgres_url).path[1:]
    ask(postgres_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    with Database(postgres_url) as database:
        assert database.row("SHOW synchronous_commit")[0] == "on"
    ask(postgres_url, f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
    with Database(postgres_url) as database:
        assert database.row("SHOW synchronous_commit")[0] == "remote_apply"


def test_a_newer_schema_is_refused_and_left_alone(postgres_url: str) -> None:
    with Database(postgres_url) as database:
        assert database.row("SELECT version FROM schema_version")["version"] == len(migrations())
        database.execute("UPDATE schema_version SET version = 99")
    with pytest.raises(UserError, match=f"its schema is 99, this one knows {len(migrations())}") as caught:
        Database(postgres_url)
    assert "upgrade" in str(caught.value)
    assert ask(postgres_url, "SELECT version FROM schema_version") == [[99]]


def test_tables_of_another_application_are_left_alone(postgres_url: str) -> None:
    ask(postgres_url, "CREATE TABLE routes (mine int)")
    with pytest.raises(UserError, match="tables of another application"):
        Database(postgres_url)
    assert ask(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [[1]]


def test_a_database_that_keeps_no_chinese_is_refused(postgres_server: str) -> None:
    ask(postgres_server, "DROP DATABASE IF EXISTS test_latin")
    ask(postgres_server, "CREATE DATABASE test_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        with pytest.raises(UserError, match="keeps text as LATIN1"):
            Database(postgres_server.replace("/postgres?", "/test_latin?"))
    finally:
        ask(postgres_server, "DROP DATABASE test_latin WITH (FORCE)")


def refused(url: str) -> str:
    """What is said where this address is opened, with every cause; the password is not in it."""
    with pytest.raises(UserError) as caught:
        Database(url)
    password = urlsplit(url).password or "-"
    error: BaseException | None = caught.value
    while error is not None:
        assert password not in f"{error}{error.args}"
        error = error.__cause__ or error.__context__
    return str(caught.value)


def test_a_wrong_password_a_missing_user_and_a_missing_database_are_told(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    assert "did not let this user in" in refused(postgres_url.replace(parts.password or "", "wr0ng-pass"))
    assert "did not let this user in" in refused(postgres_url.replace(f":{parts.password}", ""))
    assert "did not let this user in" in refused(postgres_url.replace("//pilotbase:", "//nobody:"))
    missing = refused(postgres_url.replace(parts.path, "/absent"))
    assert "there is no such database" in missing and "CREATE DATABASE" in missing
    assert f"postgresql://{parts.hostname}:{parts.port}/absent: " in missing


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = refused(f"postgresql://a:{quote(SECRET, safe='')}@127.0.0.1:{port}/base")
    assert f"postgresql://127.0.0.1:{port}/base: could not reach PostgreSQL" in said and "PILOTBASE_DATABASE" in said
    assert "could not reach PostgreSQL" in refused("postgresql://a:secret@/base?host=/nowhere")
    assert "could not reach PostgreSQL" in refused("postgresql://a:secret@nobody.invalid/base")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64])
def test_a_server_that_is_no_postgresql_is_told(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        said = refused(f"postgresql://a:secret@127.0.0.1:{server.getsockname()[1]}/base?sslmode=disable")
        thread.join()
    assert "could not connect to PostgreSQL" in said


def test_a_connection_is_encrypted_as_the_address_says(postgres_url: str) -> None:
    root = parse_qs(urlsplit(postgres_url).query).get("sslrootcert", [""])[0]
    if not root:
        pytest.skip("the private server has no certificate: openssl was not found")
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    for mode, is_encrypted in (("disable", 0), ("prefer", 1), ("require", 1)):
        with Database(query(postgres_url, sslmode=mode)) as database:
            assert database.row(encrypted)["ssl"] == is_encrypted, mode
    with Database(query(postgres_url)) as database:
        assert database.row(encrypted)["ssl"] == 1
    for mode in ("verify-ca", "verify-full"):
        with Database(query(postgres_url, sslmode=mode, sslrootcert=root)) as database:
            assert database.row(encrypted)["ssl"] == 1
        assert "self-signed certificate" in refused(query(postgres_url, sslmode=mode))
    other = query(postgres_url, sslmode="verify-full", sslrootcert=root).replace("127.0.0.1", "127.0.0.2")
    assert "could not" in refused(other)
    assert "could not read the root certificates" in refused(query(postgres_url, sslmode="verify-full", sslrootcert="/absent"))


def test_a_unix_socket_is_a_folder_as_host(postgres_url: str, database: Database) -> None:
    folder = str(database.rows("SHOW unix_socket_directories")[0][0])
    parts = urlsplit(postgres_url)
    url = f"postgresql://{parts.username}:{parts.password}@:{parts.port}{parts.path}?host={folder}&sslmode=require"
    with Database(url) as other:
        assert other.where.startswith(f"postgresql://{folder}:") and other.row("SELECT 1 AS one")["one"] == 1


def test_an_address_is_read_in_its_parts_and_shows_no_password() -> None:
    found = parse_address(f"{ADDRESS}?sslmode=verify-full&sslrootcert=/etc/ca.pem")
    assert (found.user, found.password, found.host, found.port, found.name) == ("ward", SECRET, "db.example", 6432, "base")
    assert (found.sslmode, found.sslrootcert, found.where) == ("verify-full", "/etc/ca.pem", "postgresql://db.example:6432/base")
    assert SECRET not in repr(found)
    assert parse_address("postgres://a@[::1]/b").where == "postgresql://[::1]:5432/b"
    assert parse_address("postgresql://a@/b?host=/run/pg").local and parse_address("postgresql://a@h/b").sslmode == "prefer"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mysql://a:s3cret@h/b", "no PostgreSQL address"),
        ("s3cret", "no PostgreSQL address"),
        ("postgresql://a:s3cret@h:port/b", "cannot be read"),
        ("postgresql://a:s3cret@[h/b", "cannot be read"),
        ("postgresql://a:s3/cret@h/b", "cannot be read"),
        ("postgresql://a:s3cret#x@h/b", "cannot be read|goes on|no user"),
        ("postgresql://h/b", "has no user"),
        ("postgresql://a:s3cret@/b", "has no host"),
        ("postgresql://a:s3cret@h", "has no name of a database"),
        ("postgresql://a:s3cret@h/b/c", "goes on after"),
        ("postgresql://a@h:12/cret@h", "goes on after"),
        ("postgresql://a:s3cret@h/b?sslmode=maybe", "unknown `sslmode`"),
        ("postgresql://a:s3cret@h/b?password=s3cret", "unknown parameter `password`"),
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_address(text)
    assert caught.value.where == "PILOTBASE_DATABASE" and caught.value.hint
    assert not re.search("s3|cret", str(caught.value))
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_the_settings_read_the_database_and_never_show_its_password() -> None:
    found = read_settings({"PILOTBASE_DATABASE": ADDRESS, "PILOTBASE_HOME": "/base", "TOKEN": SECRET})
    assert found.database == ADDRESS and found.secret("TOKEN") == SECRET
    assert SECRET not in repr(found) and quote(SECRET, safe="") not in repr(found) and "/base" in repr(found)
    assert read_settings({}).database is None and read_settings({"PILOTBASE_DATABASE": ""}).database is None


def test_a_home_is_opened_on_the_database_of_the_settings(postgres_url: str, tmp_path) -> None:
    with opened(Settings(home=tmp_path / "home", environment={}, database=postgres_url)) as context:
        assert context.database.where.startswith("postgresql://127.0.0.1:")
        assert context.database.row("SELECT count(*) AS n FROM runs")["n"] == 0
        password = urlsplit(postgres_url).password
        assert password and password not in repr(context)
    assert not (tmp_path / "home" / "pilotbase.db").exists()
