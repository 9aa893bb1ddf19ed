"""What goes wrong between a program and a base."""

from collections.abc import Sequence

__all__ = ["ApiError", "UnreachableError"]


class ApiError(Exception):
    """The base refused. `status` is HTTP's, `detail` says what was found, `hint` what to do, `problems` all that is wrong."""

    def __init__(
        self, status: int, title: str, detail: str, *, hint: str = "", problems: Sequence[str] = (), retry_after: str = ""
    ) -> None:
        super().__init__(status, title, detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.hint = hint
        self.problems = tuple(problems)
        self.retry_after = retry_after

    def __str__(self) -> str:
        lines = [f"{self.status} {self.title}: {self.detail}".strip(), *self.problems]
        return "\n".join([*lines, self.hint] if self.hint else lines)


class UnreachableError(ApiError):
    """No answer came, or one that is no base's. Whether anything was done is not known; `status` is 0, or that of the answer."""

    def __init__(self, detail: str, *, status: int = 0) -> None:
        super().__init__(status, "no answer of a base", detail, hint="check the address, and that `pilotbase serve` runs there")
