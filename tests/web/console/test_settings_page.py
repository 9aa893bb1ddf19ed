"""The page of settings: what is in force, for those who may see it, and no secret."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.fakes.console_server import ConsoleServer

from pilotbase.console.app import make_console
from pilotbase.context import Context
from pilotbase.domain.alert import Channel
from pilotbase.domain.bounds import Bounds
from pilotbase.domain.embedding import EmbeddingModel


class Served(ConsoleServer):
    def application(self, context: Context) -> Any:
        mail = replace(Channel(email=("a@b.example",), smtp="mail.example:587", from_="base@example.org"), email=())
        model = EmbeddingModel(url="https://models.example/v1", name="bge", key="secret-key-of-the-model")
        bounds = Bounds(hosts=("lab.example:8000",), variables=("LAB_KEY@lab.example",), code="isolated")
        told = replace(context, mail=mail, embeddings=model, bounds=bounds, public_url="https://base.example")
        return make_console(told, say=self.said.append)


def test_what_is_in_force_is_shown_without_its_secrets(tmp_path: Path) -> None:
    with Served(tmp_path / "home") as base:
        auditor, vendor = base.member("a@base.example", "auditor"), base.member("v@base.example", "vendor")
        page = base.signed_in(auditor).get("/console/settings", accept_language="en").text
        for told in (
            str(tmp_path / "home"), "mail.example:587", "base@example.org", "bge, https://models.example/v1", "lab.example:8000",
            "LAB_KEY@lab.example", "isolated", "https://base.example",
        ):  # fmt: skip
            assert told in page, told
        assert "secret-key-of-the-model" not in page
        assert base.signed_in(vendor).get("/console/settings").status_code == 404
        chinese = base.signed_in(auditor).get("/console/settings", accept_language="zh-CN").text
        assert "系统设置" in chinese and "What is in force" not in chinese
