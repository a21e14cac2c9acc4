"""What a file's tests were made from, so that an unchanged file need not be read, rendered or parsed.

A manifest belongs to one file under given variables. It names everything that rendering, validation and start
read: files, files that were looked for in vain, environment values (sealed), mounted trees, settings, this
version. Where all of it holds, the tests are those written down here, down to their hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from clnrm_nb.cache.entry import Cause
from clnrm_nb.cache.fingerprint import TreePrint
from clnrm_nb.cache.key import KEY_VERSION, hash_of
from clnrm_nb.cache.packing import DamagedError, pack, unpack
from clnrm_nb.cache.records import FileRecord, line_prints
from clnrm_nb.spans.content import canonical_json
from clnrm_nb.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clnrm_nb.cache.present import Present

__all__ = [
    "MANIFEST_VERSION",
    "Inputs",
    "Manifest",
    "ManifestTest",
    "Mount",
    "digest_of_values",
    "members_of",
    "request_of",
]

MANIFEST_VERSION: Final = f"{__version__}/{KEY_VERSION}/2"
"""Of everything that makes tests of files, and of how a manifest is written."""


def digest_of_values(value: Any) -> str:
    """64 hex digits of any JSON value: of settings, of variables that are given."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def request_of(file: str, given: str) -> str:
    """What a manifest is looked up by: a file and a digest of what was given for it beside its own text."""
    return hashlib.sha256(f"{given}\0{file}".encode("utf-8", "surrogateescape")).hexdigest()


def members_of(mount: str) -> str:
    """The name among the prints of what a mount holds."""
    return f"mount {mount}"


class ManifestTest(NamedTuple):
    """One test of a file, as far as it is known without the file.

    Parameters
    ----------
    id, name : str
    base : str or None
        Hash of its inputs but for the images (:attr:`~clnrm_nb.cache.Key.base`); ``None``: it has none.
    images : tuple of str
        Names of the images it runs.
    expectations : str or None
        Digest of what its file says it is judged by (:attr:`~clnrm_nb.cache.Key.judged`).
    reason : str or None
        Why it has no hash.
    tags, scenarios : tuple of str
        For selection by tag and by scenario id.
    more : mapping
        What else its reader may want, as JSON.
    """

    id: str
    name: str
    base: str | None
    images: tuple[str, ...] = ()
    expectations: str | None = None
    reason: str | None = None
    tags: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ()
    matrix: Mapping[str, Any] = {}  # Nobody writes to a Mapping.
    more: Mapping[str, Any] = {}  # As above.

    def hash(self, ids: Mapping[str, str | None]) -> str | None:
        """Its hash with these ids of images; ``None`` if it has none, or one of its images no id."""
        if self.base is None or any(name not in ids for name in self.images):
            return None
        return hash_of(self.base, {name: ids[name] for name in self.images})


class Mount(NamedTuple):
    """A mounted file or directory; `taken` is ``None`` where nothing was there."""

    path: str
    taken: TreePrint | None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a file's tests were made from, by name.

    Parameters
    ----------
    files : mapping of str to str
        SHA-256 of each file as it was read, by its path from the project root.
    missing : collection of str
        Files that were looked for and are not there.
    environment : sequence of str
        Names of all variables that were read.
    mounts : mapping of str to Path
        ``service:/path`` and what is mounted there.
    """

    files: Mapping[str, str]
    missing: Sequence[str] = ()
    environment: Sequence[str] = ()
    mounts: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The raw inputs of one file, and the tests they make.

    Parameters
    ----------
    request : str
        What it is looked up by (:func:`request_of`).
    file : str
        The scenario file.
    tests : tuple of ManifestTest
        One a matrix combination, in order.
    diagnostics : tuple of mapping
        What validation found, as JSON.
    prints : mapping of str to list of int or mapping
        Line prints of its template files, and the members of its mounts; not read back with the rest
        (:meth:`~clnrm_nb.cache.CacheStore.prints_of`).
    """

    request: str
    file: str
    files: Mapping[str, FileRecord]
    missing: tuple[str, ...]
    environment: Mapping[str, str | None] = field(repr=False)
    mounts: Mapping[str, Mount]
    settings: str
    given: str
    tests: tuple[ManifestTest, ...]
    diagnostics: tuple[Mapping[str, Any], ...] = ()
    version: str = MANIFEST_VERSION
    prints: Mapping[str, list[int] | dict[str, int]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        request: str,
        file: str,
        inputs: Inputs,
        tests: Sequence[ManifestTest],
        present: Present,
        *,
        diagnostics: Sequence[Mapping[str, Any]] = (),
    ) -> Self | None:
        """Write down what tests were made from; ``None`` if some of it is not what was read any more.

        Parameters
        ----------
        present : Present
            A new one: what was looked at before the file was read proves nothing.

        Raises
        ------
        OSError
            There is no key to seal values with.
        UnreadableError
            A mount cannot be read whole.
        """
        files: dict[str, FileRecord] = {}
        prints: dict[str, list[int] | dict[str, int]] = {
            members_of(name): present.prints.members(path) for name, path in inputs.mounts.items()
        }
        for name, digest in inputs.files.items():
            record = present.files.now(present.path(name))
            if record is None or record.digest != digest:
                return None
            files[name] = record
            prints[name] = line_prints(present.files.content(present.path(name)))
        if any(present.files.is_there(present.path(name)) for name in inputs.missing):
            return None
        return cls(
            request=request,
            file=file,
            files=files,
            missing=tuple(inputs.missing),
            environment={name: present.value(name) for name in inputs.environment},
            mounts={
                name: Mount(str(path), present.prints.taken(path)) for name, path in inputs.mounts.items()
            },
            settings=present.settings,
            given=present.given,
            tests=tuple(tests),
            diagnostics=tuple(diagnostics),
            prints=prints,
        )

    def holds(self, present: Present) -> Cause | None:
        """The first input that is not what it was; ``None``: all are, and so are the tests."""
        return self._by_value(present) or self._by_file(present) or self._by_mount(present)

    def _by_value(self, present: Present) -> Cause | None:
        for kind, before, now in (
            ("version", self.version, MANIFEST_VERSION),
            ("settings", self.settings, present.settings),
            ("given", self.given, present.given),
        ):
            if before != now:
                return Cause(kind, before=before, after=now)
        for name, sealed in self.environment.items():
            try:
                value = present.value(name)
            except OSError:
                return Cause("environment", name, before=sealed)
            if value != sealed:
                return Cause("environment", name, before=sealed, after=value)
        return None

    def _by_file(self, present: Present) -> Cause | None:
        look = present.files
        for name, record in self.files.items():
            path = present.path(name)
            if not look.holds(path, record):
                now = look.now(path)
                return Cause("files", name, before=record.digest, after=now and now.digest)
        for name in self.missing:
            if look.is_there(present.path(name)):
                now = look.now(present.path(name))
                return Cause("files", name, before=None, after=now and now.digest)
        return None

    def _by_mount(self, present: Present) -> Cause | None:
        for name, mount in self.mounts.items():
            path = Path(mount.path)
            if not present.prints.holds(path, mount.taken):
                before = mount.taken.digest if mount.taken else None
                return Cause("mounts", name, before=before, after=present.prints.now(path))
        return None

    def renewed(self, present: Present) -> Self | None:
        """With the records of what was read again and found equal; ``None`` if there is nothing to renew.

        Kept in the place of this one it spares the next decision that reading.
        """
        files = {
            name: present.files.renewed[present.path(name)]
            for name in self.files
            if present.path(name) in present.files.renewed
        }
        mounts = {
            name: Mount(mount.path, taken)
            for name, mount in self.mounts.items()
            if mount.taken is not None
            and (taken := present.prints.taken(Path(mount.path))) is not None
            and taken != mount.taken
        }
        if not files and not mounts:
            return None
        return replace(self, files={**self.files, **files}, mounts={**self.mounts, **mounts})

    # ------------------------------------------------------------------------------------------- bytes

    def packed(self) -> bytes:
        """All but the line prints."""
        return pack(
            [
                self.version,
                self.request,
                self.file,
                self.files,
                self.missing,
                self.environment,
                self.mounts,
                self.settings,
                self.given,
                self.tests,
                self.diagnostics,
            ]
        )

    @classmethod
    def unpacked(cls, packed: bytes) -> Manifest:
        """The manifest of some bytes.

        Raises
        ------
        DamagedError
            They are damaged, or of another version.
        """
        return _unpacked(packed)


@lru_cache(maxsize=2_048)
def _unpacked(packed: bytes) -> Manifest:
    """Remembered: a kernel asks for the same ones at every run."""
    try:
        version, request, file, files, missing, environment, mounts, settings, given, tests, found = unpack(
            packed
        )
        return Manifest(
            request,
            file,
            {name: FileRecord(*record) for name, record in files.items()},
            tuple(missing),
            environment,
            {name: Mount(path, taken and TreePrint(*taken)) for name, (path, taken) in mounts.items()},
            settings,
            given,
            tuple(_test(*values) for values in tests),
            tuple(found),
            version,
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"a manifest is of another version: {error}") from error


def _test(*values: Any) -> ManifestTest:
    test = ManifestTest(*values)
    return test._replace(images=tuple(test.images), tags=tuple(test.tags), scenarios=tuple(test.scenarios))
