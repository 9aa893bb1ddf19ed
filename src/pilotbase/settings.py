"""What the environment decides, read once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Settings", "read_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`home` holds all state. `environment` is where secrets are looked up by name, and never shown."""

    home: Path
    environment: Mapping[str, str]

    def secret(self, name: str) -> str | None:
        """A secret by the name of its variable."""
        return self.environment.get(name) or None


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read PILOTBASE_HOME (default `.pilotbase` here)."""
    found = dict(os.environ if environment is None else environment)
    return Settings(home=Path(found.get("PILOTBASE_HOME") or ".pilotbase").absolute(), environment=found)
