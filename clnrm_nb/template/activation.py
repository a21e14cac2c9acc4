"""A file in a rendering: what compiled code knows as ``context``.

Blocks, macros and imported files are looked for from the file that is running; a message about what cannot be
found names what could have been meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.faults import Fault, did_you_mean
from clnrm_nb.template.positions import calling_places
from clnrm_nb.template.values import UNDEFINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clnrm_nb.template.loader import TemplateFile
    from clnrm_nb.template.parsed import Macro
    from clnrm_nb.template.runtime import Rendering

__all__ = ["Active", "Replay"]

_MAX_FAULTS: Final = 500
"""Rendering stops going on behind faults after so many: a hundred are shown."""


class Active:
    """A file in a rendering; compiled code calls it ``context``."""

    __slots__ = ("aliases", "file", "lineage", "run")

    def __init__(self, run: Rendering, file: TemplateFile, lineage: tuple[TemplateFile, ...] = ()) -> None:
        self.run = run
        self.file = file
        # Most derived file first: where blocks are looked for.
        self.lineage = lineage or (file,)
        self.aliases: dict[str, TemplateFile] | None = None

    @staticmethod
    def resolve_or_missing(name: str) -> Any:
        """Part of Jinja2's protocol; compiled templates look names up by operations instead."""
        raise LookupError(name)

    def pieces(self, function: str) -> Any:
        """Output of one of this file's functions: a block, or a statement rendered ahead."""
        run = self.run
        if function.startswith("statement_"):
            done = run.statements.get((self.file.path, function))
            if done is not None:
                return Replay(done)
            return run.function(self.file, function)(self)
        return self.block(function.removeprefix("block_of_"))

    def block(self, name: str, below: TemplateFile | None = None) -> Iterator[str]:
        """A block as the most derived file has it, or as the next one below a file has it."""
        files = self.lineage if below is None else self.lineage[self.lineage.index(below) + 1 :]
        for file in files:
            function = file.unit.parsed.blocks.get(name)
            if function is not None:
                return self.run.function(file, function)(self.run.active(file, self.lineage))
        raise Fault("CLN103", f"no file below defines block `{name}`; `super()` has nothing to show")

    def macro(self, namespace: str | None, name: str) -> tuple[TemplateFile, Macro]:
        """The macro a call means."""
        if namespace in (None, "self"):
            for file in self.lineage:
                if name in file.unit.parsed.macros:
                    return file, file.unit.parsed.macros[name]
            raise self._unknown_macro(namespace, name)
        assert namespace is not None
        dotted = namespace.endswith(".")
        file_of = self.imports().get(namespace.removesuffix("."))
        if file_of is None:
            raise self._unknown_namespace(namespace.removesuffix("."), name, dotted=dotted)
        macros = file_of.unit.parsed.macros
        if name not in macros:
            near = did_you_mean(name, macros, prefix=f"{namespace.removesuffix('.')}::")
            message = f"unknown macro `{namespace.removesuffix('.')}::{name}`{near}"
            raise Fault("CLN103", message, f"`{file_of.display}` defines {_listed(macros)}")
        return file_of, macros[name]

    def _unknown_macro(self, namespace: str | None, name: str) -> Fault:
        own = [macro for file in self.lineage for macro in file.unit.parsed.macros]
        if namespace == "self":
            return Fault("CLN103", f"unknown macro `self::{name}`{did_you_mean(name, own, 'self::')}")
        near = did_you_mean(name, [*self.run.registry.functions, *own])
        owner = next((alias for alias, f in self.imports().items() if name in f.unit.parsed.macros), None)
        hint = f"`{name}` is a macro of `{owner}`: write `{owner}::{name}(…)`" if owner else None
        return Fault("CLN103", f"unknown function `{name}`{near}", hint)

    def _unknown_namespace(self, namespace: str, name: str, *, dotted: bool) -> Fault:
        if dotted and self.run.lookup(namespace) is not UNDEFINED:
            return Fault(
                "CLN103",
                f"`{namespace}.{name}(…)`: methods of values are not available",
                f"use a filter, as in `{namespace} | {name}`" if name in self.run.registry.filters else None,
            )
        near = did_you_mean(namespace, ["self", *self.imports()])
        return Fault(
            "CLN103",
            f"no macros are imported as `{namespace}`{near}",
            f'write `{{% import "_macros.toml.tera" as {namespace} %}}` at the top of the file',
        )

    def imports(self) -> dict[str, TemplateFile]:
        """Imported files by alias."""
        if self.aliases is None:
            self.aliases = {
                alias: self.run.load_at(name, self.file, segment)
                for alias, (name, segment) in self.file.unit.parsed.imports.items()
            }
        return self.aliases

    def attempt(self, body: Callable[[], Any], instead: Any) -> Any:
        """Evaluate; on a fault note it and go on with `instead` (recovering code only)."""
        frames = self.run.frames
        size = len(frames)
        try:
            return body()
        except Fault as fault:
            if fault.code == "CLN108" or len(self.run.faults) >= _MAX_FAULTS:
                raise  # a limit is the end, not one mistake among others
            self.run.frames = frames
            del frames[size:]
            fault.callers = calling_places(skipped=2)
            self.run.faults.append(fault)
            return instead


class Replay:
    """A statement's text from the time it was rendered ahead, with the segment each piece came from."""

    __slots__ = ("_pieces", "segment")

    def __init__(self, pieces: list[tuple[str, int]]) -> None:
        self._pieces = iter(pieces)
        self.segment = 0

    def __iter__(self) -> Replay:
        return self

    def __next__(self) -> str:
        text, self.segment = next(self._pieces)
        return text


def _listed(names: Mapping[str, object], limit: int = 12) -> str:
    shown = ", ".join(f"`{name}`" for name in list(names)[:limit])
    return (shown or "no macros") + (", …" if len(names) > limit else "")
