"""The pieces of Python on the client's page run against a base."""

from pathlib import Path

import pytest
from tests.docs.pages import ROOT, blocks
from tests.fakes.api_server import ApiServer
from tests.fakes.console_home import furnish

from pilotbase.client.client import Client
from pilotbase.flows.tokens import create_token

PAGE = ROOT / "docs" / "client.md"


def test_the_pieces_of_the_clients_page_run_one_after_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    furnished = furnish(tmp_path)
    with ApiServer(furnished.home, furnished.time) as base:
        member = base.member("li", "operator")
        scopes = ["runs.read", "releases.read", "releases.move"]
        token = create_token(base.context, member, name="page", scopes=scopes, expires="1d", who="test")[1]
        names: dict[str, object] = {"url": base.url, "token": token}
        for block in blocks(PAGE, "python"):
            exec(compile(block, str(PAGE), "exec"), names)
    told = capsys.readouterr().out
    assert told.startswith("n climbing canary 50 %") and furnished.places["run"] in told and "there is no run" in told


def test_every_noun_and_word_of_the_client_is_on_its_page() -> None:
    text, client = PAGE.read_text("utf-8"), Client("http://base.example", "t")
    for noun, part in vars(client).items():
        if not noun.startswith("_"):
            assert f"`client.{noun}`" in text
            assert [word for word in dir(part) if not word.startswith("_") and f"`{word}`" not in text] == [], noun
