"""The terminal that commands print to."""

import rich.console

__all__ = ["Console", "Errors"]

PIPED_WIDTH = 160  # a pipe has no width of its own, and a cut table tells nothing


class Console(rich.console.Console):
    """Standard output: plain where it is piped, wide enough for tables."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)
        if not self.is_terminal:
            self.width = PIPED_WIDTH


class Errors(rich.console.Console):
    """Standard error, for progress and notes."""

    def __init__(self) -> None:
        super().__init__(stderr=True, highlight=False, soft_wrap=True)
