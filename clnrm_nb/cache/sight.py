"""Where the parts of a key stand in the files a person edits.

What was stored of an earlier run holds meanings without places. The places come from the rendering at hand: a
variable is used at these markers and set there, a part of the scenario is written in that line. Of something
that is gone there is only its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.scenario.model import Block, Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from clnrm_nb.scenario.model import KeyPath
    from clnrm_nb.validation import Checked

__all__ = ["Sight"]

_MOST_PLACES: Final = 3
_UNITS: Final = ("_s", "_ms", "_mb", "_millicores", "_path")
_TABLES: Final = {"scenarios": "scenario", "metadata": "meta"}
"""Fields of the model whose tables have another name."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a test; the default sees nothing.

    Parameters
    ----------
    checked : Checked, optional
        The test as it is rendered now.
    root : Path, optional
        The project, below which included files are read.
    given : mapping of str to str
        How variables came from outside, by name: ``-m``, ``--vars prod.toml``.
    lines : mapping of str to int
        How many lines of a file have changed, by its path from the project root.
    mounted : mapping of str to sequence of str
        What has changed below a mount, by its name in the key.
    """

    checked: Checked | None = None
    root: Path | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    mounted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    # ---------------------------------------------------------------------------------- variables

    def uses_of_variable(self, name: str) -> tuple[str, ...]:
        """The first places where a variable is used."""
        from clnrm_nb.template.uses import variable_uses

        return self._uses(variable_uses, name)

    def uses_of_environment(self, name: str) -> tuple[str, ...]:
        """The first places where an environment variable is read."""
        from clnrm_nb.template.uses import environment_uses
        from clnrm_nb.template.variables import STANDARD

        behind = [variable for variable, (environment, _) in STANDARD.items() if environment == name]
        found = [*self._uses(environment_uses, name)]
        for variable in behind:
            found += self.uses_of_variable(variable)
        return tuple(found[:_MOST_PLACES])

    def origin_of(self, name: str) -> str | None:
        """Where a variable has its value from, in words."""
        if self.checked is None:
            return None
        if name.startswith("matrix."):
            return "[matrix]"
        origins = {one.name: one.origin for one in self.checked.rendered.variables}
        origin = origins.get(name.removeprefix("vars."))
        if origin == "argument":
            return self.given.get(name, "-m")
        if origin is not None and origin.startswith("["):
            tables = tuple(origin.strip("[]").split("."))
            return f"{origin} at {self._located((*tables, name))}"
        words = {"parameter": "a notebook parameter", "default": "its default"}
        return words.get(origin or "", origin)

    def _uses(self, find: Callable[[str, str], list[tuple[int, int]]], name: str) -> tuple[str, ...]:
        places = (
            f"{file}:{line}:{column}" for file, text in self._texts() for line, column in find(text, name)
        )
        return tuple(place for place, _ in zip(places, range(_MOST_PLACES), strict=False))

    def _texts(self) -> Iterator[tuple[str, str]]:
        """The template files that were read: first the one a person runs."""
        if self.checked is None:
            return
        rendered = self.checked.rendered
        yield rendered.file, rendered.source
        for name in rendered.dependencies.files:
            if name == rendered.file or self.root is None:
                continue
            try:
                yield name, (self.root / name).read_bytes().decode("utf-8-sig")
            except (OSError, UnicodeError):
                # Gone meanwhile, or part of this package.
                continue

    # ----------------------------------------------------------------------------------- scenario

    def path_of(self, keys: KeyPath) -> KeyPath:
        """From a path in the model (``scenarios, 0, timeout_s``) to the one in the document."""
        place: Any = self.checked.test if self.checked is not None else None
        path: KeyPath = ()
        for key in keys:
            path = self._step(place, path, key)
            place = _inner(place, key)
            if isinstance(place, Block) and place.source:
                path = place.source
        return path

    def scenario_named(self, name: str) -> KeyPath:
        """The path in the model of a scenario; one that is gone keeps its name."""
        test = self.checked.test if self.checked is not None else None
        for index, scenario in enumerate(test.scenarios if test is not None else ()):
            if scenario.name == name:
                return ("scenarios", index)
        return ("scenarios", name)

    def _step(self, place: Any, path: KeyPath, key: str | int) -> KeyPath:
        if self._is_whole(path, key):
            return path
        if not isinstance(place, Model) or isinstance(key, int):
            return (*path, key)
        if isinstance(place, Block) and key in place.written:
            return place.written[key]
        name = _TABLES.get(key, key) if not path else key
        bare = next((name.removesuffix(unit) for unit in _UNITS if name.endswith(unit)), name)
        # Fields carry their units, keys do not always, or another one.
        spellings = (name, bare, *(f"{bare}{unit}" for unit in _UNITS))
        return (*path, next((one for one in spellings if self._is_written((*path, one))), bare))

    def _is_whole(self, path: KeyPath, key: str | int) -> bool:
        """Whether the document has a plain value where the model has parts, as a pattern or a command."""
        value = self._written(path)
        return value is not None and not isinstance(value, list if isinstance(key, int) else dict)

    def _is_written(self, path: KeyPath) -> bool:
        return self._written(path) is not None

    def _written(self, path: KeyPath) -> Any:
        place: Any = self.checked.parsed.document if self.checked and self.checked.parsed else None
        for key in path:
            try:
                place = place[key]
            except (KeyError, IndexError, TypeError):
                return None
        return place

    def place_of(self, path: KeyPath) -> tuple[str, ...]:
        """Where a path of the document, or the nearest thing around it, is written."""
        if self.checked is None or self.checked.parsed is None:
            return ()
        return (self._located(path),)

    def _located(self, path: KeyPath) -> str:
        assert self.checked is not None
        return str(self.checked.locate(path))


def _inner(place: Any, key: str | int) -> Any:
    """What stands below a key of the model; ``None`` where there is nothing any more."""
    if isinstance(place, Model):
        return getattr(place, str(key), None)
    try:
        return place[key]
    except (KeyError, IndexError, TypeError):
        return None
