"""The built-in guards keep the contract of their family."""

from pathlib import Path

import pytest
from tests.contract.guards.contract import GuardContract

from pilotbase import plugins
from pilotbase.ports import Guard


class TestPersonalData(GuardContract):
    samples = ("我的电话是13800138000。", "call 13800138000 now")

    def guard(self) -> Guard:
        kind = plugins.load("guards", "pii")
        built: Guard = kind.build(kind.options(), Path(), lambda _: None)
        return built


class TestKeywords(GuardContract):
    samples = ("这是秘密。", "a secret plan")

    @pytest.fixture(autouse=True)
    def words(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        (tmp_path / "words.txt").write_text("秘密\nsecret\n", encoding="utf-8")

    def guard(self) -> Guard:
        kind = plugins.load("guards", "keywords")
        built: Guard = kind.build(kind.options(file="words.txt"), self.folder, lambda _: None)
        return built


def test_every_built_in_guard_is_registered_and_has_its_options() -> None:
    assert {"keywords", "pii", "length", "language", "http"} <= set(plugins.names("guards"))
    for name in ("keywords", "pii", "length", "language", "http"):
        kind = plugins.load("guards", name)
        assert kind.name == name
        assert kind.options.__pydantic_config__["extra"] == "forbid"
