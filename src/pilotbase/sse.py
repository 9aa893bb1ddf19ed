"""Server-sent events: bytes in any chunks, the data of whole events out.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream". Only `data` fields are kept: chat endpoints use no others.
"""

__all__ = ["Events"]

_BOM = b"\xef\xbb\xbf"


class Events:
    """A decoder of one stream. `feed` returns the data of every event that the bytes so far complete."""

    __slots__ = ("_data", "_rest", "_started")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Data of the events that `chunk` completes, in order; lines of one event are joined by a newline.

        A carriage return at the end of the bytes is held back: it may be half of a line end.
        """
        text = self._rest + chunk if self._rest else chunk
        if not self._started:
            if len(text) < 3 and _BOM.startswith(text):
                self._rest = text
                return []
            self._started = True
            text = text.removeprefix(_BOM)
        held = b""
        if b"\r" in text:
            if text.endswith(b"\r"):
                text, held = text[:-1], b"\r"
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        self._rest = lines.pop() + held
        return self._take(lines)

    def finish(self) -> list[bytes]:
        """What a stream that ended without its last blank line still held.

        The standard drops an unfinished event; many endpoints omit the blank line after `[DONE]`, so it is handed out here.
        """
        text = self._rest if self._started else self._rest.removeprefix(_BOM)
        self._rest = b""
        return self._take([text.removesuffix(b"\r"), b""])

    def _take(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                    self._data = []
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                self._data.append(b"")
        return events
