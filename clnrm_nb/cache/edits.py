"""What has been edited since a manifest was made, whether or not it makes a difference.

Of a hit these are the edits that do not count; of a miss they say how many lines of an include have changed,
and which files below a mount.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clnrm_nb.cache.entry import Cause
from clnrm_nb.cache.manifest import MANIFEST_VERSION, members_of
from clnrm_nb.cache.records import changed_lines, line_prints

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clnrm_nb.cache.manifest import Manifest, Mount
    from clnrm_nb.cache.present import Present

__all__ = ["cosmetic", "edits_since", "lines_of", "mounted_of"]

_MISSING = "missing"


def edits_since(manifest: Manifest, prints: Mapping[str, Any], present: Present) -> list[Cause]:
    """Everything that is not what it was.

    Parameters
    ----------
    manifest : Manifest
    prints : mapping
        :meth:`CacheStore.prints_of` it.
    present : Present
        The inputs as they are.
    """
    return [
        *_of_values(manifest, present),
        *_of_files(manifest, prints, present),
        *_of_mounts(manifest, prints, present),
    ]


def cosmetic(edits: Iterable[Cause]) -> tuple[Cause, ...]:
    """The same edits, found not to count."""
    return tuple(replace(edit, is_cosmetic=True) for edit in edits)


def lines_of(edits: Iterable[Cause]) -> dict[str, int]:
    """How many lines of a file have changed, by file."""
    return {edit.name: edit.lines for edit in edits if edit.kind == "files" and edit.lines is not None}


def mounted_of(edits: Iterable[Cause]) -> dict[str, tuple[str, ...]]:
    """What has changed below a mount, by mount."""
    return {edit.name: edit.at for edit in edits if edit.kind == "mounts"}


def _of_values(manifest: Manifest, present: Present) -> list[Cause]:
    pairs: list[tuple[str, str, str | None, str | None]] = [
        ("version", "", manifest.version, MANIFEST_VERSION),
        ("settings", "", manifest.settings, present.settings),
        ("given", "", manifest.given, present.given),
    ]
    for name, value in manifest.environment.items():
        try:
            now = present.value(name)
        except OSError:
            continue
        pairs.append(("environment", name, value, now))
    return [Cause(kind, name, old, new) for kind, name, old, new in pairs if old != new]


def _of_files(manifest: Manifest, prints: Mapping[str, Any], present: Present) -> list[Cause]:
    found: list[Cause] = []
    look = present.files
    for name, record in manifest.files.items():
        path = present.path(name)
        if look.holds(path, record):
            continue
        now = look.now(path)
        if now is None:
            found.append(Cause("files", name, record.digest, _MISSING))
        elif now.digest != record.digest:
            lines = _lines(prints.get(name), look.content(path))
            found.append(Cause("files", name, record.digest, now.digest, lines=lines))
    for name in manifest.missing:
        now = look.now(present.path(name))
        if now is not None:
            found.append(Cause("files", name, _MISSING, now.digest))
    return found


def _lines(before: Sequence[int] | None, content: bytes) -> int | None:
    return None if before is None else changed_lines(before, line_prints(content))


def _of_mounts(manifest: Manifest, prints: Mapping[str, Any], present: Present) -> list[Cause]:
    found: list[Cause] = []
    for name, mount in manifest.mounts.items():
        path = Path(mount.path)
        if present.prints.holds(path, mount.taken):
            continue
        names = _changed(prints.get(members_of(name)), present.prints.members(path))
        # Mounts of the combinations of a matrix are told apart by a number that says nothing to people.
        shown = name.partition(":")[2] if name.partition(":")[0].isdigit() else name
        found.append(Cause("mounts", shown, _digest(mount), present.prints.now(path), at=names))
    return found


def _digest(mount: Mount) -> str:
    return mount.taken.digest if mount.taken is not None else _MISSING


def _changed(before: Mapping[str, int] | None, after: Mapping[str, int]) -> tuple[str, ...]:
    """Names below a tree that are new, gone or changed; a directory that only holds such is not told."""
    if not before or not after:
        return ()
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return tuple(name.lstrip("/") for name in names if name)
