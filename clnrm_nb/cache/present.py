"""The inputs of files as they are now: what manifests are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.cache.fingerprint import Fingerprints
from clnrm_nb.cache.localkey import IN_CLEAR
from clnrm_nb.cache.records import Files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Present"]


class Present:
    """The inputs of all files as they are now, each looked at once. Lives as long as one decision.

    Parameters
    ----------
    root : Path
        Of the project: names of files are relative to it.
    environ : mapping
        The environment templates and secrets read.
    seal : callable
        Hides a value, equal ones alike (:meth:`~clnrm_nb.cache.LocalKey.seal`).
    settings, given : str
        Digests of the settings that count, and of the variables given from outside.
    prints : Fingerprints, optional
        Of mounted files; those that are found unchanged need not be read again.
    """

    def __init__(
        self,
        root: Path,
        environ: Mapping[str, str],
        seal: Callable[[str], str],
        *,
        settings: str = "",
        given: str = "",
        prints: Fingerprints | None = None,
    ) -> None:
        self.settings = settings
        self.given = given
        self.files = Files()
        self.prints = Fingerprints() if prints is None else prints
        self._root = f"{root}/"
        self._environ = environ
        self._seal = seal
        self._sealed: dict[str, str | None] = {}

    def path(self, name: str) -> str:
        """Where a file of that name stands."""
        return name if name.startswith("/") else self._root + name

    def value(self, name: str) -> str | None:
        """A variable of the environment, sealed where it has to be; ``None``: it is not set.

        Raises
        ------
        OSError
            There is no key, and none can be kept.
        """
        try:
            return self._sealed[name]
        except KeyError:
            value = self._environ.get(name)
            sealed = value if value is None or name in IN_CLEAR else self._seal(value)
            return self._sealed.setdefault(name, sealed)
