"""A candidate's own process: spawning, framed messages with a time limit, and an end that leaves nothing running."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

from pilotbase.errors import PilotbaseError, UserError
from pilotbase.targets.python_worker import HEADER, MAGIC

__all__ = ["Log", "LostError", "Process"]

MARK = "PILOTBASE_PROCESS"
_GONE = 5.0
_KEPT = 2**20
_TAIL = 4096
_JOINED = 65536  # below this one system call is worth a copy


class LostError(PilotbaseError):
    """The process did not answer; it is being ended, and has to be started again."""

    def __init__(self, failure: Literal["timeout", "crashed", "too-large"], detail: str) -> None:
        super().__init__(detail)
        self.failure = failure
        self.detail = detail


class Log:
    """What candidates print: the first MiB in a file made when there is something to keep, and the last 4 KiB in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = b""
        self._size = 0

    def write(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-_TAIL:]
        room = _KEPT - self._size
        if room <= 0:
            return
        self._size += len(data)
        kept = data[:room] + (b"\n[more was printed; it is not kept]\n" if len(data) >= room else b"")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(kept)
        except OSError:
            # A log that cannot be written must not end a run.
            self._size = _KEPT


class _Wire(asyncio.Protocol):
    """One request under way at a time; its reply, or the reason why there is none, settles `pending`."""

    __slots__ = ("buffer", "limit", "lost", "pending", "sequence", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.pending: asyncio.Future[tuple[int, bytes]] | None = None
        self.lost: LostError | None = None
        self.buffer = bytearray()
        self.sequence = 0
        self.limit = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(LostError("crashed", ""))

    def fail(self, lost: LostError) -> None:
        self.lost = self.lost or lost
        if self.pending is not None and not self.pending.done():
            self.pending.set_exception(self.lost)

    def data_received(self, data: bytes) -> None:
        if self.lost is not None:
            return
        self.buffer += data
        if len(self.buffer) < HEADER.size:
            return
        magic, sequence, kind, length = HEADER.unpack_from(self.buffer)
        if magic != MAGIC or sequence != self.sequence or self.pending is None:
            self.fail(LostError("crashed", "the candidate wrote into the channel that carries its answers"))
        elif length > self.limit:
            self.fail(LostError("too-large", f"the answer takes {length:,} bytes; at most {self.limit:,} are read"))
        elif len(self.buffer) > HEADER.size + length:
            self.fail(LostError("crashed", "the candidate wrote into the channel that carries its answers"))
        elif len(self.buffer) == HEADER.size + length:
            body = bytes(memoryview(self.buffer)[HEADER.size :])
            self.buffer = bytearray()
            if not self.pending.done():
                self.pending.set_result((kind, body))


class Process:
    """A subprocess in a session of its own that answers one message at a time. Not started until `start`."""

    def __init__(self, command: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Log) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._environment = dict(environment)
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._wire: _Wire | None = None
        self._mark = ""
        self._output = -1
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._wire is not None and self._wire.lost is None

    async def start(self) -> None:
        """Spawn it. UserError where the system refuses."""
        await self.stop()
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        output, printed = os.pipe()
        os.set_blocking(output, False)
        self._mark = os.urandom(16).hex()
        try:
            self._child = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                pass_fds=(theirs.fileno(),),
                cwd=self._folder,
                env={**self._environment, MARK: self._mark},
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            os.close(output)
            raise UserError(f"no process could be started: {error.strerror}", where=str(self._folder), code=4) from None
        finally:
            theirs.close()
            os.close(printed)
        self._output = output
        loop.add_reader(output, self._drain)
        ours.setblocking(False)
        _, self._wire = await loop.create_unix_connection(_Wire, sock=ours)

    async def call(self, kind: int, body: bytes, *, seconds: float, limit: int) -> tuple[int, bytes]:
        """Send a message; its reply of at most `limit` bytes. Raises LostError where none came within `seconds`."""
        wire = self._wire
        if wire is None or wire.transport is None:
            raise LostError("crashed", "the process is not running")
        if wire.lost is None:
            loop = asyncio.get_running_loop()
            wire.sequence = (wire.sequence + 1) & 0xFFFFFFFF
            wire.limit = limit
            wire.pending = loop.create_future()
            self._watch(loop, seconds)
            head = HEADER.pack(MAGIC, wire.sequence, kind, len(body))
            if len(body) < _JOINED:
                wire.transport.write(head + body)
            else:
                wire.transport.write(head)
                wire.transport.write(body)
            try:
                return await wire.pending
            except asyncio.CancelledError:
                wire.fail(LostError("crashed", "the call was cancelled"))
                self._kill()
                raise
            except LostError:
                pass
            finally:
                wire.pending = None
        assert wire.lost is not None
        lost = wire.lost
        detail = lost.detail or await self._obituary()
        await self.stop()
        raise LostError(lost.failure, detail)

    def _watch(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        # One timer a process, moved only when it fires: a timer a call would cost more than the call's own bookkeeping.
        self._deadline = loop.time() + seconds
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(self._deadline, self._expire, loop, seconds)

    def _expire(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._timer = None
        wire = self._wire
        if wire is None or wire.pending is None or wire.pending.done():
            return
        if loop.time() < self._deadline:
            self._timer = loop.call_at(self._deadline, self._expire, loop, seconds)
            return
        wire.fail(LostError("timeout", f"no answer within {seconds:g} s"))

    def _drain(self) -> bool:
        try:
            data = os.read(self._output, 65536)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self._log.write(data)
        else:
            asyncio.get_running_loop().remove_reader(self._output)
        return bool(data)

    async def _obituary(self) -> str:
        # The channel closes a moment before the process has ended.
        assert self._child is not None
        loop = asyncio.get_running_loop()
        limit = loop.time() + 0.5
        while (status := os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
            if loop.time() > limit:
                return "the process closed its channel"
            await asyncio.sleep(0.002)
        if status.si_code == os.CLD_EXITED:
            return f"the process ended with exit code {status.si_status}"
        name = signal.Signals(status.si_status).name if status.si_status in set(signal.Signals) else str(status.si_status)
        return f"the process was ended by {name}" + " (out of memory?)" * (name == "SIGKILL")

    def _kill(self) -> None:
        # Before the leader is reaped: until then nobody else can have its number.
        if self._child is not None and self._child.returncode is None:
            try:
                os.killpg(self._child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._child.kill()

    async def stop(self) -> None:
        """End it and everything that it started. Does nothing where it is not running."""
        child, wire, output = self._child, self._wire, self._output
        if child is None:
            return
        self._kill()
        self._child, self._wire = None, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wire is not None and wire.transport is not None:
            wire.fail(LostError("crashed", "the process was stopped"))
            wire.transport.abort()
        loop = asyncio.get_running_loop()
        limit = loop.time() + _GONE
        while child.poll() is None and loop.time() < limit:
            await asyncio.sleep(0.001)
        _end_strays(self._mark)
        for _ in range(16):
            if not self._drain():
                break
        loop.remove_reader(output)
        os.close(output)
        self._output = -1


def _end_strays(mark: str) -> None:
    """Kill processes that left the group (setsid) but inherited the mark in their environment. Linux only; elsewhere nothing."""
    needle = f"{MARK}={mark}".encode()
    for _ in range(5):
        found = False
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if needle in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
                    found = True
            except OSError:
                continue
        if not found:
            return
