"""A pilot and a home for each test."""

from pathlib import Path

import pytest
from tests.flows.support import Base


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(folder=tmp_path / "pilot", home=tmp_path / "home")
