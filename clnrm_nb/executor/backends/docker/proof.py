"""Whether a runner container is again as it was born: everything ended, wiped, and looked at.

One script in the container's own shell ends every process but the first and that shell, empties all places
that can be written, and prints what there is: processes, files, mounts, sockets, IPC objects, and the limits,
signals, priority, files and variables of the shell. What it printed at birth is compared with what it prints
after a test. A difference is not repaired and not judged: the container is thrown away.

Most sockets are counted and not listed: the kernel's lists go through the connections of the whole machine,
which takes longer than all the rest. So that connections of the test do not linger, and no port with them,
the container's network closes them at once (:data:`SYSCTLS`).

The image must bring a shell, ``head``, ``stat`` and ``rm``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["SCRATCH", "SCRIPT", "SYSCTLS", "Fingerprint", "difference", "fingerprint", "is_whole"]

Fingerprint = frozenset[str]

SCRATCH: Final = ("/tmp", "/var/tmp", "/run")  # noqa: S108  # Of the container.
"""Where a runner that is used again can be written: memory of its own."""

SYSCTLS: Final = {"net.ipv4.tcp_max_tw_buckets": "0"}

_WIPED: Final = (*SCRATCH, "/dev/shm", "/dev/mqueue")  # noqa: S108
_LISTED: Final = (*_WIPED, "/dev", "/dev/pts")
_TEXTS: Final = (
    "/proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg "
    "/proc/net/protocols /proc/net/sockstat /proc/net/unix /proc/net/route "
    "/etc/hosts /etc/resolv.conf /etc/hostname "
    "/proc/1/status /proc/1/stat /proc/1/limits /proc/1/oom_score_adj "
    "/proc/$$/mountinfo /proc/$$/status /proc/$$/stat /proc/$$/limits /proc/$$/oom_score_adj "
    "/proc/$$/coredump_filter /proc/$$/autogroup"
)

# Killing is over when the dead are gone from /proc, which takes the first process a moment. What is left of a
# directory is seen by its name, so nobody needs to look into it.
SCRIPT: Final = rf"""kill -s KILL -- -1
clnrm_count=0
while set -- /proc/[0-9]*; [ $# -gt 2 ] && [ $clnrm_count -lt 5000 ]; do
  clnrm_count=$((clnrm_count + 1))
done
set --
for clnrm_place in {" ".join(_WIPED)}; do
  for clnrm_file in "$clnrm_place"/* "$clnrm_place"/.[!.]* "$clnrm_place"/..?*; do
    if [ -e "$clnrm_file" ] || [ -h "$clnrm_file" ]; then set -- "$@" "$clnrm_file"; fi
  done
done
[ $# -eq 0 ] || rm -rf -- "$@"
set -- {" ".join(_LISTED)} /proc/$$/cwd /proc/$$/root /proc/$$/fd/*
for clnrm_place in {" ".join(_LISTED)}; do
  for clnrm_file in "$clnrm_place"/* "$clnrm_place"/.[!.]* "$clnrm_place"/..?*; do
    if [ -e "$clnrm_file" ] || [ -h "$clnrm_file" ]; then set -- "$@" "$clnrm_file"; fi
  done
done
stat -c 'file:%n %A %t:%T %u:%g %N' -- "$@"
set --
for clnrm_file in /proc/[0-9]*; do echo "process:$clnrm_file"; done
export -p
trap
head -n 9999 {_TEXTS}""".encode()

_HEAD: Final = re.compile(r"==> (.*) <==")
# Blocked and caught signals are the shell's own matter, which changes while it waits for a child.
_STATUS: Final = re.compile(
    "Umask|[UG]id|Groups|TracerPid|SigIgn|Cap.*|NoNewPrivs|Seccomp|(Cpus|Mems)_allowed"
)
# Of /proc/N/stat behind the name: parent, group, session, terminal; priority, nice; real-time, policy.
_STAT: Final = (1, 2, 3, 4, 15, 16, 37, 38)
_LINGERING: Final = re.compile(r"\btw \d+")
_LONGEST_WORDS: Final = 100
_KINDS: Final = (
    ("process:", "a process was left"),
    ("file:/proc/", "a file of the shell changed"),
    ("file:", "a file was left or changed"),
    ("/proc/net/", "a socket was left"),
    ("/proc/sysvipc/", "an IPC object was left"),
    ("/etc/", "a file of the engine changed"),
    ("/proc/1/", "the first process changed"),
    ("/proc/", "the shell changed"),
    ("", "a variable of the shell changed"),
)


def fingerprint(printed: bytes) -> Fingerprint:
    """What there is, from what the script printed."""
    return frozenset(_lines(printed.decode("utf-8", "replace").split("\n")))


def is_whole(found: Fingerprint) -> bool:
    """Whether every part was printed, which takes tools, and nobody removed the shell's directory."""
    parts = ("process:/proc/1", "file:/tmp ", "file:/proc/", "/proc/1/status ", "/proc/net/protocols TCP ")
    lines = sorted(found)
    return all(any(line.startswith(part) for line in lines) for part in parts) and not any(
        line.startswith("file:/proc/") and "(deleted)" in line for line in lines
    )


def difference(birth: Fingerprint, now: Fingerprint) -> str | None:
    """The first difference in a few words; ``None``: there is none."""
    differing = sorted(now - birth) or sorted(birth - now)
    if not differing:
        return None
    beginning, words = next(kind for kind in _KINDS if differing[0].startswith(kind[0]))
    text = differing[0].removeprefix("process:")
    if beginning == "file:":
        text = " ".join(text.removeprefix(beginning).split()[:2])
    return f"{words}: {' '.join(text.split())}"[:_LONGEST_WORDS]


def _lines(printed: Iterable[str]) -> Iterator[str]:
    path = ""
    for line in printed:
        if found := _HEAD.fullmatch(line):
            path = found[1]
        elif text := _kept(path, line):
            yield f"{path} {text}" if path else text


def _kept(path: str, line: str) -> str | None:
    """What of a line is no figure of the moment."""
    if path.endswith("/status"):
        key, _, value = line.partition(":")
        return f"{key} {value.strip()}" if _STATUS.fullmatch(key) else None
    if path.endswith("/stat"):
        fields = line.rpartition(")")[2].split()
        return " ".join(fields[at] for at in _STAT if at < len(fields))
    if path == "/proc/net/protocols":
        # Name and number of sockets; behind them stands memory of the whole machine. Those of the Unix kind
        # are listed, since the kernel counts them late.
        return None if line.startswith("UNIX") else " ".join(line.split()[0:3:2])
    if path == "/proc/net/unix":
        # Without its address in the kernel.
        return " ".join(line.split()[1:])
    if path == "/proc/net/sockstat":
        found = _LINGERING.search(line)
        return found[0] if found else None
    return line
