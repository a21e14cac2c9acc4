"""The files of a test on their way to a worker, and those it leaves on their way back.

What a test mounts from inside the project is sent: it is small as a rule, and then a worker needs nothing but
this package. Paths are rewritten so that they lead to the same files below the worker's copy of the project.
What the person allows by ``mount:PATH`` is not sent but mounted where it is, so that large data can lie in a
place that all machines share. Other mounts stay as they are, to be refused by the worker as by any run.
"""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from clnrm_nb.errors import ClnrmError, Diagnostic
from clnrm_nb.executor.artifacts import artifact_directory
from clnrm_nb.executor.backends.docker.mounts import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.executor.plan import TestPlan
    from clnrm_nb.scenario.model import Service, TestFile, Volume

__all__ = [
    "LARGEST_BYTES",
    "Mounted",
    "archive",
    "artifact_files",
    "extract",
    "mounted",
    "relative_directory",
]

LARGEST_BYTES: Final = 32 * 1024 * 1024
"""Of the files that one test mounts, or leaves, before compression."""

_WORD: Final = "mount:"
_DIRECTORY_VARIABLE: Final = "CLNRM_TEST_DIR"
_STATE: Final = frozenset({".clnrm", ".git"})


class Mounted:
    """What a test mounts, as it travels.

    Attributes
    ----------
    test : TestFile
        With host paths that lead to the sent files.
    sources : dict of str to Path
        What is sent, by its path from the project root.
    findings : list of Diagnostic
        What is other than in a local run.
    """

    def __init__(self, test: TestFile) -> None:
        self.test = test
        self.sources: dict[str, Path] = {}
        self.findings: list[Diagnostic] = []


def relative_directory(plan: TestPlan) -> str:
    """The directory of the scenario file from the project root; the root for a file outside it."""
    directory, root = plan.directory.resolve(), plan.project_root.resolve()
    return directory.relative_to(root).as_posix() if directory.is_relative_to(root) else "."


def mounted(plan: TestPlan, *, by_process: bool) -> Mounted:
    """Find out what must be sent, and rewrite the test accordingly.

    Parameters
    ----------
    by_process : bool
        Its commands run on the worker itself, and may read beside the scenario file.

    Raises
    ------
    ClnrmError
        CLN001: a mounted file does not exist. CLN106: a variable in a path is not set.
    """
    found = Mounted(plan.test)
    services = {
        name: service.model_copy(
            update={"volumes": tuple(_sent(plan, service, each, found) for each in service.volumes)}
        )
        for name, service in plan.test.services.items()
    }
    found.test = plan.test.model_copy(update={"services": services})
    if by_process and _DIRECTORY_VARIABLE in plan.test.model_dump_json():
        found.sources[relative_directory(plan)] = plan.directory.resolve()
    return found


def _sent(plan: TestPlan, service: Service, volume: Volume, found: Mounted) -> Volume:
    what = f"volume {volume.host_path!r} of service `{service.name}`"
    try:
        source = resolve(volume, plan.directory).source
    except KeyError as unset:
        text = f"{what}: environment variable `{unset.args[0]}` is not set"
        raise ClnrmError(text, "CLN106") from None
    root = plan.project_root.resolve()
    if _is_shared(source, plan.allow) or not source.is_relative_to(root):
        return volume.model_copy(update={"host_path": str(source)})
    if not source.exists():
        raise ClnrmError(f"{what}: {str(source)!r} does not exist", "CLN001")
    path = source.relative_to(root).as_posix()
    found.sources[path] = source
    if not volume.read_only:
        text = f"{what}: what the test writes there stays on the worker"
        hint = f"add `:ro`, or name a place that all workers share by `--allow mount:{source}`"
        found.findings.append(Diagnostic("CLN611", text, severity="info", hint=hint, file=plan.test.file))
    return volume.model_copy(update={"host_path": os.path.relpath(path, relative_directory(plan))})


def _is_shared(source: Path, allow: Iterable[str]) -> bool:
    shared = [
        Path(word.removeprefix(_WORD)).expanduser().resolve() for word in allow if word.startswith(_WORD)
    ]
    return any(source.is_relative_to(place) for place in shared)


# ---------------------------------------------------------------------------------------------- archives


def archive(sources: dict[str, Path]) -> bytes:
    """Files and directories in one compressed archive; nothing for none.

    Raises
    ------
    ClnrmError
        CLN616: more than :data:`LARGEST_BYTES`. CLN001: something cannot be read.
    """
    if not sources:
        return b""
    buffer = io.BytesIO()
    left = LARGEST_BYTES
    try:
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as target:
            for path, source in _walked(sources):
                entry = target.gettarinfo(source, path)
                # Sockets, pipes and devices are of one machine; they would stand for nothing on another.
                if entry is None or not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
                    continue
                left -= entry.size
                if left < 0:
                    raise _too_much(sources)
                if entry.isreg():
                    with source.open("rb") as data:
                        target.addfile(entry, data)
                else:
                    target.addfile(entry)
    except OSError as error:
        raise ClnrmError(f"cannot read {str(error.filename)!r}: {error.strerror}", "CLN001") from error
    return buffer.getvalue()


def _walked(sources: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    seen: set[str] = set()
    for top, source in sources.items():
        for path in (source, *_below(source)):
            name = (Path(top) / path.relative_to(source)).as_posix()
            if name not in seen:
                seen.add(name)
                yield name, path


def _below(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        return
    for entry in sorted(directory.iterdir()):
        if entry.name in _STATE:
            continue
        yield entry
        if not entry.is_symlink():
            yield from _below(entry)


def _too_much(sources: dict[str, Path]) -> ClnrmError:
    size_mb, first = LARGEST_BYTES // 1024**2, next(iter(sources.values()))
    return ClnrmError(
        f"the files that the test mounts are more than {size_mb} MiB, too much to send to a worker",
        "CLN616",
        hint=f"Put them where all workers find them, and name that place: `--allow mount:{first}`.",
    )


def extract(data: bytes, directory: Path, *, keeps_modes: bool) -> None:
    """Write the files of an archive below a directory.

    Parameters
    ----------
    keeps_modes : bool
        For a worker, whose programs under test see modes and owners: whoever sends it files has it run code
        anyway. What comes back holds what programs under test wrote, and is taken as data only: nothing
        beyond `directory`, no devices, no links out of it.
    """
    if data:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as source:
            chosen: Literal["fully_trusted", "data"] = "fully_trusted" if keeps_modes else "data"
            source.extractall(directory, filter=chosen)  # noqa: S202  # See above.


def artifact_files(state_dir: Path, test_id: str) -> bytes:
    """What a finished test left that only its worker has: copied files, and logs of its services.

    Spans, output and the recording are in the outcome, from which the run writes them.

    Raises
    ------
    ClnrmError
        CLN616: more than :data:`LARGEST_BYTES`.
    """
    top = artifact_directory(state_dir, test_id)
    sources = {}
    with suppress(OSError):
        for place in sorted(top.iterdir()):
            files = place / "files"
            if place.name == "services" and place.is_dir():
                sources[place.name] = place
            elif files.is_dir():
                sources[f"{place.name}/files"] = files
    return archive(sources)
