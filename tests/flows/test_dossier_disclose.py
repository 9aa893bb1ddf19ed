"""One case of a dossier is opened later, with a proof, and nothing else passes for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.flows.stories import pilotbase, sealed
from tests.flows.support import Base, cases


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp("disclose")
    found = Base(folder=folder / "pilot", home=folder / "home")
    return found.write(
        rows=cases(50), data={"custody": "held-out"}, candidates={"good": found.python("good"), "coin": found.python("coin")}
    )


@pytest.fixture(scope="module")
def dossier(base: Base) -> Path:
    return sealed(base, run_flags=("--no-early-stop",))


@pytest.fixture(scope="module")
def opened(base: Base, dossier: Path) -> dict[str, Any]:
    said = pilotbase(base.home, "disclose", "open", "last", "good", "c7")
    assert said.code == 0, said.err
    found = said.json
    assert isinstance(found, dict)
    return found


def check(base: Base, dossier: Path, document: object, tmp_path: Path) -> Any:
    file = tmp_path / "opened.json"
    file.write_bytes(orjson.dumps(document))
    return pilotbase(base.home, "disclose", "check", dossier, file)


def test_the_right_case_is_proved_here_and_elsewhere(base: Base, dossier: Path, opened: dict[str, Any], tmp_path: Path) -> None:
    assert opened["input"] == {"x": 7}
    said = check(base, dossier, opened, tmp_path)
    assert said.code == 0, said.err
    assert "as good was asked it" in said.out
    file = tmp_path / "opened.json"
    elsewhere = pilotbase(tmp_path / "home", "disclose", "check", dossier, file)
    assert elsewhere.code == 3
    assert "unknown" in elsewhere.out


def _proof(o: dict[str, Any]) -> None:
    o["proof"][0] = "0" * 64


def _answer(o: dict[str, Any]) -> None:
    o["answer"] = {"text": "no" if o["answer"]["text"] == "yes" else "yes"}


ALTERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "input": lambda o: o["input"].update(x=8),
    "answer": _answer,
    "proof": _proof,
    "position": lambda o: o.update(position=o["position"] + 1),
    "candidate": lambda o: o.update(candidate="coin"),
    "salt": lambda o: o.update(salt="0" * 64),
    "field": lambda o: o.pop("root"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_case_is_refused(base: Base, dossier: Path, opened: dict[str, Any], tmp_path: Path, what: str) -> None:
    document = orjson.loads(orjson.dumps(opened))
    ALTERED[what](document)
    said = check(base, dossier, document, tmp_path)
    assert said.code == 2
    assert said.out == ""


def test_a_case_of_another_dossier_is_refused(base: Base, dossier: Path, opened: dict[str, Any], tmp_path: Path) -> None:
    other = sealed(base, name="other")
    said = check(base, other, opened, tmp_path)
    assert said.code == 2
    assert "another dossier" in said.err


def test_what_is_no_opened_case_is_told(base: Base, dossier: Path, tmp_path: Path) -> None:
    assert check(base, dossier, [1], tmp_path).code == 2
    (tmp_path / "bad.json").write_text("{")
    assert pilotbase(base.home, "disclose", "check", dossier, tmp_path / "bad.json").code == 2
    assert pilotbase(base.home, "disclose", "open", "last", "nobody", "c7").code == 2
    assert pilotbase(base.home, "disclose", "open", "last", "good", "c999").code == 2
