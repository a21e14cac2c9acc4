"""A Docker engine of the tests' own: started where none answers, stopped by its own pid and no other.

``python tests/engine.py start`` prints the line that a shell needs (``export DOCKER_HOST=…``), ``env``
prints it again for an engine that is running, ``stop`` ends it and removes its directory. The fixture
``engine`` of ``conftest.py`` does the same for a test session.

The engine touches nothing of the machine beyond its directory and its bridges: no firewall rules, no
forwarding, no default data directory.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

INSTALL_HINT = "apt-get install -y --no-install-recommends docker.io"
# Half of what an engine's calls take is waiting for the disk; images and containers are in memory where it has room.
MEMORY = Path("/dev/shm")
LEAST_FREE_BYTES = 8 << 30
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 20.0
POLL_S = 0.05
# Kept until stopped: a Popen that is forgotten while its process runs complains.
_STARTED: dict[Path, subprocess.Popen[bytes]] = {}


class EngineError(Exception):
    """No engine can be had here; the message says why and what to do."""


def answers(url: str) -> bool:
    """Whether an engine answers at an address (a unix socket, or TCP in clear)."""
    scheme, _, rest = url.partition("://")
    connection = http.client.HTTPConnection("localhost", timeout=2)
    try:
        if scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(2)
            connection.sock.connect(rest)
        else:
            connection = http.client.HTTPConnection(rest, timeout=2)
        connection.request("GET", "/_ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def url_of(directory: Path) -> str:
    """Address of the engine that lives in a directory."""
    return f"unix://{directory}/docker.sock"


def address_pool(directory: Path) -> str:
    """Addresses for an engine's networks: several engines share a machine, and the usual pool is 31 networks."""
    return f"10.{64 + zlib.crc32(str(directory).encode()) % 180}.0.0/16"


def start(directory: Path, *options: str, in_memory: bool = True) -> str:
    """Start an engine in a directory, unless one is running there; its address.

    Parameters
    ----------
    directory : Path
        Short: a socket's path has at most 107 bytes.
    *options : str
        More flags of ``dockerd``.
    in_memory : bool
        Whether its data may be in memory. A container then has less of it for itself: files that it writes count.

    Raises
    ------
    EngineError
        ``dockerd`` is not installed, may not be started, or does not get ready.
    """
    program = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/sbin")
    if program is None:
        raise EngineError(f"no Docker engine answers and dockerd is not installed: {INSTALL_HINT}")
    if os.geteuid() != 0:
        raise EngineError("no Docker engine answers, and only root can start one: set DOCKER_HOST")
    directory.mkdir(parents=True, exist_ok=True)
    url = url_of(directory)
    with FileLock(directory / "lock"):
        if answers(url):
            return url
        command = [
            program, "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
            "--data-root", str(_data(directory, in_memory=in_memory)), "--exec-root", f"{directory}/exec",
            "--pidfile", f"{directory}/pid", "-H", url,
            # All engines of a machine share the default bridge: each would give it an address of its own, and
            # one that is told to do without (`--bridge=none`) takes it away from the others.
            "--bip=172.17.0.1/16",
            # How long containers may take when the engine ends; `sleep` as the first process hears no signal.
            "--shutdown-timeout=1",
            *options,
        ]  # fmt: skip
        if not any(option.startswith("--default-address-pool") for option in options):
            command.append(f"--default-address-pool=base={address_pool(directory)},size=26")
        with (directory / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _STARTED[directory] = process
        _await_ready(process, url, directory)
    return url


def _data(directory: Path, *, in_memory: bool) -> Path:
    """Where its images and containers are; what is there already stays."""
    data = directory / "data"
    if in_memory and not data.exists() and _has_room(MEMORY):
        data.symlink_to(tempfile.mkdtemp(prefix="clnrm-engine-", dir=MEMORY))
    return data.resolve()


def _has_room(place: Path) -> bool:
    try:
        is_executable = not os.statvfs(place).f_flag & os.ST_NOEXEC
        return is_executable and shutil.disk_usage(place).free >= LEAST_FREE_BYTES
    except OSError:
        return False


def _await_ready(process: subprocess.Popen[bytes], url: str, directory: Path) -> None:
    given_up_s = time.monotonic() + READY_WITHIN_S
    while not answers(url):
        if process.poll() is not None or time.monotonic() > given_up_s:
            process.kill()
            last = (directory / "log").read_text(errors="replace").splitlines()[-5:]
            raise EngineError("dockerd did not get ready:\n" + "\n".join(last))
        time.sleep(POLL_S)


def stop(directory: Path) -> None:
    """End the engine of a directory and remove the directory; none there is fine."""
    pid = _pid(directory)
    if pid is not None:
        bridges = _bridges(directory)
        _end(pid, signal.SIGTERM)
        if _is_alive(pid):
            _end(pid, signal.SIGKILL)
        _remove(bridges)
    if (process := _STARTED.pop(directory, None)) is not None:
        process.poll()
    _end_containerd(directory)
    for each in ((directory / "data").resolve(), directory):
        _unmount(each)
        shutil.rmtree(each, ignore_errors=True)


def _bridges(directory: Path) -> list[str]:
    """The bridges of the networks that an engine still has; an engine leaves them behind when it ends."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(5)
        connection.sock.connect(f"{directory}/docker.sock")
        connection.request("GET", "/networks")
        networks = json.load(connection.getresponse())
    except (OSError, ValueError, http.client.HTTPException):
        return []
    finally:
        connection.close()
    return [f"br-{network['Id'][:12]}" for network in networks if network["Driver"] == "bridge"]


def _remove(bridges: list[str]) -> None:
    """Take bridges away; each holds an address range that later engines would have to do without."""
    program = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin")
    for bridge in bridges:
        if program and Path(f"/sys/class/net/{bridge}").exists():
            subprocess.run([program, "link", "delete", bridge], check=False, capture_output=True)


def _pid(directory: Path) -> int | None:
    """The engine's pid, if that process is still the one of this directory."""
    try:
        pid = int((directory / "pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if _is_ours(pid, directory) else None


def _is_ours(pid: int, directory: Path) -> bool:
    try:
        return str(directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _end_containerd(directory: Path) -> None:
    """What a killed dockerd leaves: its containerd and that one's shims, found by the directory's name."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid() and _is_ours(int(entry.name), directory):
            program = Path(f"/proc/{entry.name}/comm")
            with suppress(OSError):
                if program.read_text().startswith("containerd"):
                    _end(int(entry.name), signal.SIGKILL)


def _end(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)
    given_up_s = time.monotonic() + STOPPED_WITHIN_S
    while _is_alive(pid) and time.monotonic() < given_up_s:
        time.sleep(POLL_S)


def _is_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _unmount(directory: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    inside = [mount for mount in mounts if mount.startswith(f"{directory}/")]
    for mount in sorted(inside, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="A Docker engine of the tests' own.")
    parser.add_argument("action", choices=["start", "stop", "env"])
    default = Path(tempfile.gettempdir()) / f"clnrm-engine-{os.getuid()}"
    parser.add_argument(
        "--directory", type=Path, default=default, help="where it lives (default: %(default)s)"
    )
    given = parser.parse_args()
    if given.action == "stop":
        stop(given.directory)
        return 0
    try:
        url = start(given.directory) if given.action == "start" else url_of(given.directory)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    if not answers(url):
        print("no engine of the tests is running: python tests/engine.py start", file=sys.stderr)
        return 1
    print(f"export DOCKER_HOST={url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
