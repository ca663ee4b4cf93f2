"""The store on PostgreSQL when its server is down, comes back, drops connections, or is of another age."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from recsys.control.key_uses import KeyUses
from recsys.control.locations import StoreLocation
from recsys.control.plane import ControlPlane
from recsys.control.postgres_store import PostgresStore
from recsys.control.serving_view import load_serving_view, save_serving_view
from recsys.control.store import ControlError, StoreUnavailableError, Table, Writer

if TYPE_CHECKING:
    from .conftest import PostgresServer

DROP_OTHERS = (
    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    b"WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.create_database()


def test_a_server_that_is_down_stops_changes_and_not_what_was_read(
    postgres: PostgresServer, url: str, tmp_path: Path
) -> None:
    location = StoreLocation(tmp_path / "control", url)
    plane = ControlPlane.open(location)
    plane.create_tenant("demo", actor="t")
    key, text = plane.issue_key("demo", ("viewer",), actor="t")
    plane.put("demo", "config", b"{}", author="t")
    known = plane.wait_for_change(0, 5.0)
    save_serving_view(plane.serving_view(), tmp_path / "view.json")
    postgres.stop()
    try:
        started_while_down = ControlPlane.open(location)
        for opened in (plane, started_while_down):
            for call in (
                lambda o=opened: o.put("demo", "config", b'{"flags":{}}', author="t"),
                lambda o=opened: o.tenants(),
                lambda o=opened: o.wait_for_change(known, 0.1),
                lambda o=opened: o.serving_view(),
            ):
                with pytest.raises(StoreUnavailableError, match="unavailable"):
                    call()
        uses = KeyUses()
        uses.note(key.key_id)
        with pytest.raises(StoreUnavailableError):
            uses.write(plane, is_due=True)
        view = load_serving_view(tmp_path / "view.json")
        assert view is not None
        principal = view.authenticate(
            (location.secret_folder / "api-keys.secret").read_bytes(), text, datetime.now(UTC)
        )
        assert principal is not None
        assert view.tenants["demo"].documents["config"].data == b"{}"
    finally:
        postgres.start()
    for opened in (plane, started_while_down):
        assert opened.wait_for_change(known, 0.0) == known
        assert opened.document("demo", "config").data == b"{}"
    assert uses.write(plane, is_due=True) == 1
    plane.put("demo", "config", b'{"flags":{}}', author="t")
    assert started_while_down.wait_for_change(known, 20.0) == known + 1
    plane.verify()
    plane.close()
    started_while_down.close()


def test_changes_go_on_when_their_connections_are_cut(url: str) -> None:
    store = PostgresStore(url)
    store.update(lambda writer: writer.put(Table.DOCUMENTS, b"n", b"0"))
    done = threading.Event()

    def cut() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not done.wait(0.02):
                connection.execute(DROP_OTHERS)

    def add(writer: Writer) -> None:
        value = int(writer.get(Table.DOCUMENTS, b"n") or b"0") + 1
        writer.put(Table.DOCUMENTS, b"n", b"%d" % value)

    thread = threading.Thread(target=cut)
    thread.start()
    made = unsure = 0
    try:
        for _ in range(200):
            try:
                store.update(add)
                made += 1
            except StoreUnavailableError:
                unsure += 1
    finally:
        done.set()
        thread.join()
    with store.read() as reader:
        counted = int(reader.get(Table.DOCUMENTS, b"n") or b"0")
    store.close()
    assert made > 100
    assert made <= counted <= made + unsure


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_made_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PostgresStore(url)
    runs = 0
    original = psycopg.Connection.execute

    def execute(
        connection: psycopg.Connection[object], query: object, *more: object, **other: object
    ) -> object:
        done = original(connection, query, *more, **other)  # type: ignore[arg-type]
        if query == "COMMIT" and runs == 1:
            connection.close()
            raise psycopg.OperationalError("the answer is lost")
        return done

    def add(writer: Writer) -> int:
        nonlocal runs
        runs += 1
        value = int(writer.get(Table.DOCUMENTS, b"n") or b"0") + 1
        writer.put(Table.DOCUMENTS, b"n", b"%d" % value)
        return value

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    assert store.update(add) == 1
    assert runs == 1
    monkeypatch.undo()
    with store.read() as reader:
        assert reader.get(Table.DOCUMENTS, b"n") == b"1"
    store.close()


def test_hosts_that_start_at_once_make_the_schema_once(url: str, tmp_path: Path) -> None:
    program = (
        "import sys; from recsys.control.postgres_store import PostgresStore\n"
        "PostgresStore(sys.argv[1]).wait_for_change(0, 0.0)"
    )
    hosts = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(4)]
    assert [host.wait() for host in hosts] == [0] * 4
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM recsys.migrations").fetchone() == (1,)


def test_a_schema_of_a_newer_recsys_is_refused(url: str) -> None:
    store = PostgresStore(url)
    store.wait_for_change(0, 0.0)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO recsys.migrations (version) VALUES (99)")
    other = PostgresStore(url)
    with pytest.raises(ControlError, match="schema version 99"):
        other.wait_for_change(0, 0.0)
    store.close()


def test_a_role_that_may_only_use_the_tables_can_use_the_store(postgres: PostgresServer, url: str) -> None:
    owner = PostgresStore(url)
    owner.wait_for_change(0, 0.0)
    owner.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA recsys TO app")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA recsys TO app")
    store = PostgresStore(f"{url.partition('&user=')[0]}&user=app")
    store.update(lambda writer: writer.put(Table.DOCUMENTS, b"a", b"1"))
    store.close()


@pytest.mark.parametrize(
    "bad", ["postgresql://u:hush@[::1", "postgresql://u:hush@localhost:1/x?connect_timeout=1"]
)
def test_errors_do_not_show_the_password(bad: str) -> None:
    with pytest.raises(ControlError) as caught:
        PostgresStore(bad).wait_for_change(0, 0.0)
    assert "hush" not in str(caught.value)


def test_a_change_that_holds_the_store_too_long_does_not_block_others_for_ever(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.control.postgres_store.LOCK_TIMEOUT_S", 1)
    store, other = PostgresStore(url), PostgresStore(url)

    def slow(writer: Writer) -> None:
        writer.put(Table.DOCUMENTS, b"a", b"1")
        with pytest.raises(StoreUnavailableError, match="another change has held"):
            other.update(lambda late: late.put(Table.DOCUMENTS, b"a", b"2"))

    started = time.monotonic()
    store.update(slow)
    assert time.monotonic() - started < 20
    store.close()
    other.close()
