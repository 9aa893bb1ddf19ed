"""Moments as people write them: a day, a time, or so long from now."""

from datetime import UTC, datetime, timedelta

from pilotbase.domain.quantity import parse_duration
from pilotbase.errors import UserError

__all__ = ["moment"]


def moment(word: str, text: str, now: datetime, *, back: bool = False) -> datetime:
    """`2027-01-01` (midnight UTC), `2027-01-01T09:30+08:00` (UTC where no offset is given), or a duration such as `30d`.

    A duration is counted from `now` on, or with `back` before it. UserError for anything else.
    """
    try:
        seconds = timedelta(seconds=parse_duration(text))
    except ValueError as error:
        if "out of range" in str(error):
            raise UserError(f"{word}: {error}", status=422) from None
    else:
        return now - seconds if back else now + seconds
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "write a day as in 2027-01-31, a time as in 2027-01-31T09:30Z, or a duration as in 30d"
        raise UserError(f"{word}: `{text[:40]}` is neither a moment nor a duration", hint=hint, status=422) from None
