"""How to run a pilot."""

from dataclasses import dataclass

__all__ = ["RunOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run: `only` and `limit` make a run partial; `resume` names one to go on with; `fresh` begins a new one."""

    only: tuple[str, ...] = ()
    limit: int | None = None
    resume: str | None = None
    fresh: bool = False
    early_stop: bool = True
    executor: str = "local"

    @property
    def partial(self) -> str:
        """Why a run with these options is partial, or ""."""
        words = [f"--only {', '.join(self.only)}"] * bool(self.only) + [f"--limit {self.limit}"] * (self.limit is not None)
        return " and ".join(words)

    def arguments(self) -> list[str]:
        """The flags that say the same on the command line, for a run that goes on."""
        words = [w for name in self.only for w in ("--only", name)]
        words += ["--limit", str(self.limit)] if self.limit is not None else []
        return [*words, *(["--no-early-stop"] if not self.early_stop else [])]
