"""A Podman engine of the tests' own, behind the same API as Docker's: ``podman system service`` on a socket.

Everything it writes is in one directory (data, networks, locks, configuration), so that it neither sees nor
touches what the machine's own Podman has.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

INSTALL_HINT = "apt-get install -y --no-install-recommends podman netavark aardvark-dns docker.io"
READY_WITHIN_S = 30.0
STOPPED_WITHIN_S = 20.0
POLL_S = 0.05

# Podman's own defaults for limits are higher than root of a container or small machine may set.
_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
default_subnet_pools = [{{base = "10.{second}.0.0/16", size = 26}}]
[engine]
init_path = "{init}"
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
lock_type = "file"
tmp_dir = "{directory}/tmp"
"""


class PodmanError(Exception):
    """No Podman can be had here; the message says why and what to do."""


@contextmanager
def service(directory: Path, answers: Callable[[str], bool]) -> Iterator[str]:
    """Podman's API for as long as the context lasts; its address.

    Parameters
    ----------
    directory : Path
        Short: a socket's path has at most 107 bytes. Removed at the end.
    answers : callable
        Whether an engine answers at an address.

    Raises
    ------
    PodmanError
        Something of it is not installed, or it does not get ready.
    """
    environ = {**os.environ, "CONTAINERS_CONF": str(_configured(directory))}
    podman = _podman(directory)
    url = f"unix://{directory}/podman.sock"
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [*podman, "system", "service", "--time=0", url],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True,
        )  # fmt: skip
    try:
        _await_ready(process, lambda: answers(url), directory)
        yield url
    finally:
        _end(process)
        for words in (["rm", "--all", "--force", "--time", "0"], ["network", "prune", "--force"]):
            subprocess.run([*podman, *words], check=False, capture_output=True, env=environ)
        _end_monitors(directory)
        _unmount(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _podman(directory: Path) -> list[str]:
    return [
        "podman", "--root", f"{directory}/data", "--runroot", f"{directory}/run",
        "--storage-driver", "overlay",
    ]  # fmt: skip


def _configured(directory: Path) -> Path:
    missing = [name for name in ("podman", "conmon", "runc") if not shutil.which(name)]
    missing += [name for name in ("netavark", "aardvark-dns") if not Path("/usr/lib/podman", name).exists()]
    init = next(filter(None, map(shutil.which, ("catatonit", "docker-init", "tini"))), None)
    if missing or init is None:
        raise PodmanError(
            f"{', '.join(missing) or 'an init for containers'} is not installed: {INSTALL_HINT}"
        )
    if os.geteuid() != 0:
        raise PodmanError("these tests start Podman as root")
    directory.mkdir(parents=True, exist_ok=True)
    # Beyond what the tests' Docker engines take, since they share the machine's routes.
    second = 244 + zlib.crc32(str(directory).encode()) % 8
    written = directory / "containers.conf"
    written.write_text(_CONFIGURATION.format(init=init, directory=directory, second=second))
    return written


def _await_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], directory: Path) -> None:
    given_up_s = time.monotonic() + READY_WITHIN_S
    while not is_ready():
        if process.poll() is not None or time.monotonic() > given_up_s:
            last = (directory / "log").read_text(errors="replace").splitlines()[-5:]
            raise PodmanError("podman did not get ready:\n" + "\n".join(last))
        time.sleep(POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end_monitors(directory: Path) -> None:
    """End what watched over commands; it would stay for minutes and then make the directory again."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            is_ours = f"{directory}/".encode() in (entry / "cmdline").read_bytes()
            if is_ours and (entry / "comm").read_text().strip() in ("conmon", "aardvark-dns"):
                os.kill(int(entry.name), signal.SIGKILL)


def _unmount(directory: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    inside = [mount for mount in mounts if mount.startswith(f"{directory}/")]
    for mount in sorted(inside, key=len, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
