"""Images for tests, made of what is on this machine and cached in the engine by their content."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import ImageNotFound

INSTALL_HINT = "apt-get install -y --no-install-recommends busybox-static"
_DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "sys", "tmp", "var")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nguest:x:1000:1000::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\n",
}


def busybox(client: docker.APIClient) -> str:
    """Tag of an image with every tool that busybox has."""
    program = _program()
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
    return _image(client, "clnrm-test-busybox", [name for name in listed.stdout.split() if name != "busybox"])


def without_shell(client: docker.APIClient) -> str:
    """Tag of an image that has `sleep` and `echo` and neither a shell nor anything else."""
    return _image(client, "clnrm-test-noshell", ["sleep", "echo"])


def with_volume(client: docker.APIClient) -> str:
    """Tag of an image that declares a volume, runs as a user other than root and wants SIGINT as its end."""
    applets = ["sh", "sleep", "echo", "ls", "id", "ps", "pwd", "touch"]
    base = _image(client, "clnrm-test-few-tools", applets)
    text = f"FROM {base}\nVOLUME /data\nUSER 1000\nSTOPSIGNAL SIGINT\nWORKDIR /tmp\n"
    tag = f"clnrm-test-volume:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not _is_there(client, tag):
        for _ in client.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True):
            pass
    return tag


def _program() -> str:
    found = shutil.which("busybox")
    if found is None:
        raise FileNotFoundError(INSTALL_HINT)
    return found


def _image(client: docker.APIClient, repository: str, applets: Sequence[str]) -> str:
    content = _archive(applets)
    tag = f"{repository}:{hashlib.sha256(content).hexdigest()[:12]}"
    if not _is_there(client, tag):
        # The tag within the name: Podman takes no notice of the parameter for it.
        client.import_image_from_data(content, repository=tag, changes=["ENV PATH=/bin"])
    return tag


def _is_there(client: docker.APIClient, tag: str) -> bool:
    inspect: Any = client.inspect_image
    try:
        inspect(tag)
    except ImageNotFound:
        return False
    return True


def _archive(applets: Sequence[str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for directory in _DIRECTORIES:
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            archive.addfile(entry)
        for name, text in _ACCOUNTS.items():
            _add(archive, name, text.encode(), 0o644)
        _add(archive, "bin/busybox", Path(_program()).read_bytes(), 0o755)
        for name in applets:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(entry)
    return written.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
