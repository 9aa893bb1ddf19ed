"""The errors that a person may meet. Anything else that is raised is a bug and keeps its traceback."""

from collections.abc import Sequence

__all__ = ["Interrupted", "InvalidInput", "PilotbaseError", "UserError"]


class PilotbaseError(Exception):
    """The root of every error that pilotbase raises on purpose."""


class UserError(PilotbaseError):
    """Something that the reader of the message can mend.

    `message` says what was found, `where` the file, line or record, `hint` what to do.
    `code` is the exit code of the command line, `status` the answer of a server.
    """

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, code: int = 2, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.code = code
        self.status = status

    def __str__(self) -> str:
        head = f"{self.where}: {self.message}" if self.where else self.message
        return f"{head}\n  {self.hint}" if self.hint else head


class InvalidInput(UserError):
    """Several problems of one input at once; `problems` are whole lines, each with its place."""

    def __init__(self, title: str, problems: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__(title, hint=hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [self.message, *self.problems]
        return "\n".join([*lines, self.hint] if self.hint else lines)


class Interrupted(PilotbaseError):
    """A person stopped the work; what was recorded stays, and `resume` says how to go on."""

    def __init__(self, resume: str) -> None:
        super().__init__(resume)
        self.resume = resume
