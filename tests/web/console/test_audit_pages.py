"""The audit log's page: newest first, filters, older entries, and whether the chain is whole."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from tests.fakes.console import act, render, visit

from pilotbase.console.pages import audit
from pilotbase.context import Context, open_context
from pilotbase.domain.account import PERMITS
from pilotbase.errors import UserError
from pilotbase.store.audit import write
from pilotbase.store.disk import LocalDisk

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
PAGE = audit.PAGES[0]
HOSTILE = "<img src=x onerror=alert(1)>"


class Still:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Context]:
    with open_context(tmp_path / "home", disk=LocalDisk(), clock=Still(), secrets={}.get) as context:
        yield context


def wrote(base: Context, count: int, **more: str) -> None:
    for number in range(count):
        found = {"who": "member:li", "action": "stop", "subject": f"route r{number:03}", **more}
        write(base.database, **found, detail={"why": f"reason {number:03}"}, at=NOW + timedelta(seconds=number))


def older(shown: str) -> dict[str, str]:
    """The query behind the link to older entries."""
    return dict(parse_qsl(unescape(shown.split('" rel="next"', maxsplit=1)[0].rpartition("/console/audit?")[2])))


def test_an_empty_log_says_so(base: Context) -> None:
    assert "Nothing was changed yet." in render(PAGE, visit(base, role="auditor"))


def test_entries_stand_newest_first_and_older_ones_follow_by_cursor(base: Context) -> None:
    wrote(base, 120)
    first = render(PAGE, visit(base, role="auditor"))
    assert first.index("r119") < first.index("r070") and "r069" not in first
    second = render(PAGE, visit(base, query=older(first)))
    assert "r069" in second and "r070" not in second and "Newest entries" in second
    third = render(PAGE, visit(base, query=older(second)))
    assert "r000" in third and 'rel="next"' not in third


def test_filters_hold_on_the_following_pages_too(base: Context) -> None:
    wrote(base, 60)
    wrote(base, 60, who="user:root", action="key.create")
    shown = render(PAGE, visit(base, query={"who": "user:", "action": "key"}))
    assert "member:li" not in shown and 'value="user:"' in shown
    query = older(shown)
    assert query["who"] == "user:" and query["action"] == "key"
    assert "member:li" not in render(PAGE, visit(base, query=query))
    assert "No entry fits." in render(PAGE, visit(base, query={"subject": "nothing"}))


def test_what_people_typed_is_shown_as_text(base: Context) -> None:
    write(base.database, who=HOSTILE, action="x", subject=HOSTILE, detail={HOSTILE: HOSTILE, "list": [HOSTILE]}, at=NOW)
    shown = render(PAGE, visit(base, query={"who": '"><img src=x'}))
    assert "<img" not in shown
    assert "<img" not in render(PAGE, visit(base)) and "&lt;img" in render(PAGE, visit(base))


def test_a_whole_chain_is_told_and_a_broken_one_loudly(base: Context) -> None:
    wrote(base, 5)
    assert "The chain is whole: 5 entries" in render(PAGE, visit(base))
    base.database.execute("UPDATE audit SET who = 'member:nobody' WHERE subject = 'route r002'")
    shown = render(PAGE, visit(base))
    assert "broken at link 3" in shown and 'role="alert"' in shown and "r004" in shown
    assert "日志哈希链在第 3 环断裂" in render(PAGE, visit(base, language="zh"))


def test_a_check_that_was_asked_for_holds_against_the_link_noted_last(base: Context) -> None:
    wrote(base, 5)
    shown = act(PAGE, "verify", visit(base, role="auditor"))
    assert isinstance(shown, str) and "noted last." in shown
    last = "(SELECT MAX(seq) FROM audit_chain)"
    base.database.execute(f"DELETE FROM audit WHERE id = (SELECT entry FROM audit_chain WHERE seq = {last})")
    base.database.execute(f"DELETE FROM audit_chain WHERE seq = {last}")
    assert "The chain is whole" in render(PAGE, visit(base)), "the database alone cannot tell"
    cut = act(PAGE, "verify", visit(base))
    assert isinstance(cut, str) and "is broken at link" in cut


def test_a_cursor_that_is_none_is_told(base: Context) -> None:
    with pytest.raises(UserError) as caught:
        render(PAGE, visit(base, query={"before": "nothing"}))
    assert caught.value.status == 404


def test_only_operators_and_auditors_may_read_the_log() -> None:
    assert PAGE.permit == "audit.read" and PERMITS["audit.read"] == {"operator", "auditor"}
