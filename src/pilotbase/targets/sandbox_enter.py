"""The first main of an uploaded candidate's process: shuts itself in, and then becomes the process that runs the code.

Run as a script of the standard library alone (`sandbox_enter.py JSON COMMAND...`), before anything of the candidate is read. An
error ends it with code 71 and one line on standard error. Where `isolate` is set all of it holds, or nothing runs:

- namespaces of its own for network, mounts, processes, IPC and host name (and for users, where it is not root that starts it);
- a root of its own in memory: the candidate's folder at /pilot and what Python needs, all read-only, and /tmp of limited size;
- an ordinary user without capabilities, `no_new_privs`, and limits on memory, processor time, files and processes.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
PDEATHSIG, NO_NEW_PRIVS, CAPBSET_DROP, DUMPABLE = 1, 38, 24, 4
NOBODY = 65534
DEVICES = ("null", "zero", "full", "random", "urandom")
ROOT = "/tmp"  # only a place to mount on: the new root hides what lies there, in this process's own view alone

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> None:
    """A call into the C library. OSError with its name where it fails."""
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def mount(source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    told = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    call("mount", *told, ctypes.c_ulong(flags), None if data is None else data.encode())


def write(path: str, text: str) -> None:
    """Write a file of the kernel's in one call."""
    with open(path, "wb", buffering=0) as file:
        file.write(text.encode())


def limit(limits: dict[str, int]) -> None:
    """Limits of each process from here on; none can be raised again."""
    for name, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_NOFILE, limits["open"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        hard = resource.getrlimit(name)[1]
        top = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (top, top))


def apart() -> None:
    """Namespaces of its own. An ordinary user gets one for users too, in which it stays the user that it is."""
    user, group = os.geteuid(), os.getegid()
    flags = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    call("unshare", ctypes.c_int(flags if user == 0 else flags | NEWUSER))
    if user != 0:
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", f"{user} {user} 1")
        write("/proc/self/gid_map", f"{group} {group} 1")
    mount(None, "/", None, REC | PRIVATE)


def show(fd: int, target: str, *, device: bool = False) -> None:
    """A file or folder that is held open, read-only, at a place of the new root; that hides what lies under the same name."""
    held = f"/proc/self/fd/{fd}"
    if os.path.isdir(held):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()
    mount(held, target, None, BIND | REC)
    # A flag that the mount below it has may not be taken away.
    kept = NOEXEC if os.fstatvfs(fd).f_flag & os.ST_NOEXEC else 0
    if not device:
        mount(None, target, None, REMOUNT | BIND | RDONLY | NOSUID | NODEV | kept)


def build(told: dict[str, Any]) -> None:
    """A root of its own in memory. What is not shown there cannot be named any more."""
    links = {path: os.readlink(path) for path in told["show"] if os.path.islink(path)}
    places = {path: path for path in told["show"] if path not in links} | {told["source"]: "/pilot"}
    places |= {f"/dev/{name}": f"/dev/{name}" for name in DEVICES}
    opened = [(os.open(path, os.O_PATH), place) for path, place in places.items()]
    mount("tmpfs", ROOT, "tmpfs", NOSUID | NODEV, "size=4m,mode=755")
    for name in ("/tmp", "/proc"):
        os.mkdir(ROOT + name)
    mount("tmpfs", ROOT + "/tmp", "tmpfs", NOSUID | NODEV, f"size={told['limits']['scratch']},mode=1777")
    for path, leads in links.items():
        os.makedirs(os.path.dirname(ROOT + path), exist_ok=True)
        os.symlink(leads, ROOT + path)
    for fd, place in opened:
        show(fd, ROOT + place, device=place.startswith("/dev/"))
        os.close(fd)
    os.symlink("/tmp", ROOT + "/dev/shm")


def enter() -> None:
    """Into the new root; the old one is let go."""
    os.chdir(ROOT)
    call("pivot_root", b".", b".")
    call("umount2", b".", ctypes.c_int(DETACH))
    os.chdir("/")
    with suppress(OSError):  # a container may forbid it; code then runs without /proc
        mount("proc", "/proc", "proc", RDONLY | NOSUID | NODEV | NOEXEC)
    mount(None, "/", None, REMOUNT | BIND | RDONLY | NOSUID | NODEV)


def become_nobody() -> None:
    """An ordinary user, without capabilities, and no way to get any back."""
    for capability in range(64):
        if libc.prctl(CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            break
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def follow(child: int, keep: list[int]) -> int:
    """Wait for the child, with nothing of its channel left open here; then end as it ended."""
    for fd in keep:
        os.close(fd)
    while True:
        ended, status = os.wait()  # as the first process of its namespace this one has orphans too
        if ended == child:
            break
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def end(code: int) -> NoReturn:
    """End as the candidate did: by its signal where it was one, so that whoever waits can tell why."""
    if code > 128:
        with suppress(OSError, ValueError):
            os.kill(os.getpid(), code - 128)
    os._exit(code)


def harden() -> None:
    """What every sandbox has, isolated or not: it dies with the one above it, and gains no rights by running a program."""
    libc.prctl(PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if libc.prctl(NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs is not known here")


def channel(command: list[str]) -> list[int]:
    """The descriptor that the inner process talks on; it is the last word of its command."""
    return [int(command[-1])] if command[-1].isdigit() else []


def main() -> NoReturn:
    told, command = json.loads(sys.argv[1]), sys.argv[2:]
    if not told["isolate"]:
        limit(told["limits"])
        harden()
        os.execv(command[0], command)
    apart()
    build(told)
    first = os.fork()
    if first:
        end(follow(first, channel(command)))
    libc.prctl(PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    enter()
    second = os.fork()
    if second:
        os._exit(follow(second, channel(command)))
    os.chdir("/pilot")
    become_nobody()
    limit(told["limits"])
    harden()
    os.execv(command[0], command)


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        print(f"the sandbox could not be made: {error}", file=sys.stderr)
        os._exit(71)
