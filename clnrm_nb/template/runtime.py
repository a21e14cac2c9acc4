"""One rendering while it goes on: names, files, limits, and what it has read.

A :class:`Rendering` is made for each text that is rendered and thrown away afterwards. Its files are
:mod:`clnrm_nb.template.activation`'s.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.template.activation import Active
from clnrm_nb.template.faults import Fault, did_you_mean
from clnrm_nb.template.positions import Place, calling_places, innermost_place
from clnrm_nb.template.values import UNDEFINED, Missing, kind_of

if TYPE_CHECKING:
    from clnrm_nb.template.compiler import Unit
    from clnrm_nb.template.loader import Loader, TemplateFile
    from clnrm_nb.template.signature import Registry

__all__ = ["NAMESPACES", "Frame", "Inputs", "LoopFrame", "Reads", "Rendering"]

NAMESPACES: Final = ("vars", "matrix", "otel", "params")

MAX_OUTPUT_CHARS: Final = 16 * 1024 * 1024
MAX_PRODUCED_CHARS: Final = 64 * 1024 * 1024
"""Work on long values in one rendering: 16 MiB of output kept or handled many times is no output."""
MAX_TURNS: Final = 1_000_000
MAX_DEPTH: Final = 64
MAX_SECONDS: Final = 10.0
_TURNS_BETWEEN_CLOCK_CHECKS: Final = 256


class Frame(dict[str, Any]):
    """Names of a file, include or macro."""

    __slots__ = ()


class LoopFrame(Frame):
    """Names of one turn of a loop."""

    __slots__ = ("entries", "index", "key", "size", "value")

    def __init__(self, entries: Any, size: int, key: str | None, value: str) -> None:
        super().__init__()
        self.entries = entries
        self.size = size
        self.key = key
        self.value = value
        self.index = 0


@dataclass(slots=True)
class Inputs:
    """Everything a rendering depends on; two renderings with equal inputs are equal.

    Parameters
    ----------
    names : dict
        Variables by name.
    spaces : dict
        The namespaces ``vars matrix otel params``.
    environment : Mapping
        The environment variables the template may read.
    seed : int, optional
        ``determinism.seed``.
    entropy : str
        What stands in for the seed without one.
    frozen_ns : int, optional
        ``determinism.freeze_clock``, in nanoseconds since 1970.
    clock_ns : int
        The clock otherwise, read once.
    """

    names: dict[str, Any] = field(default_factory=dict)
    spaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    entropy: str = ""
    frozen_ns: int | None = None
    clock_ns: int = 0


@dataclass(slots=True)
class Reads:
    """What a rendering has looked at."""

    variables: set[str] = field(default_factory=set)
    environment: dict[str, str | None] = field(default_factory=dict)
    nondeterministic: bool = False


class Rendering:
    """State shared by all files of one rendering."""

    def __init__(
        self, inputs: Inputs, loader: Loader, registry: Registry, *, recovering: bool = False
    ) -> None:
        self.inputs = inputs
        self.registry = registry
        self.loader = loader
        self.recovering = recovering
        self.names = inputs.names
        self.spaces = inputs.spaces
        self.frames: list[Frame] = [Frame()]
        self.reads = Reads()
        self.statements: dict[tuple[Any, str], list[tuple[str, int]]] = {}
        self.counters: dict[str, int] = {}
        self.calls: dict[str, int] = {}
        self.current_file = ""
        self.faults: list[Fault] = []
        self.marked: dict[Place, str] = {}
        self.tracing = False
        self.last_call: tuple[str, tuple[tuple[int, str, Unit, int], ...]] = ("", ())
        self.depth = 0
        self.macro_depth = 0
        self.turns = 0
        self.produced = 0
        self.deadline = time.monotonic() + MAX_SECONDS
        self._active: dict[Any, Active] = {}

    # -- files

    def active(self, file: TemplateFile, lineage: tuple[TemplateFile, ...] = ()) -> Active:
        """The activation of a file, one for each place in a chain of ``extends``."""
        key = (file.path, lineage and lineage[0].path)
        found = self._active.get(key)
        if found is None:
            found = self._active[key] = Active(self, file, lineage)
        return found

    def function(self, file: TemplateFile, name: str) -> Callable[[Active], Iterator[str]]:
        """A compiled function of a file."""
        # A fault inside the built-in library belongs to the call a person wrote.
        template = file.unit.recovering if self.recovering and not file.is_builtin else file.unit.code
        return template.blocks[name]  # type: ignore[return-value]

    def root(self, file: TemplateFile) -> Iterator[str]:
        """Output of a whole file, its parents included."""
        lineage = [file]
        while (extends := lineage[-1].unit.parsed.extends) is not None:
            parent = self.load_at(extends[0], lineage[-1], extends[1])
            if parent in lineage or len(lineage) > MAX_DEPTH:
                fault = Fault("CLN107", f"`{parent.display}` extends itself")
                fault.place = (lineage[-1], extends[1])
                raise fault
            lineage.append(parent)
        base = lineage[-1]
        active = self.active(base, tuple(lineage))
        for member in lineage:
            self._check_imports(member)
        template = base.unit.recovering if self.recovering else base.unit.code
        return template.root_render_func(active)  # type: ignore[arg-type]

    def load_at(self, name: str, asking: TemplateFile, segment: int) -> TemplateFile:
        """Load a file for a tag that is no compiled code; a fault knows the tag."""
        try:
            return self.loader.load(name, asking)
        except Fault as fault:
            fault.place = fault.place or (asking, segment)
            raise

    def _check_imports(self, file: TemplateFile) -> None:
        """Fail for an import that cannot be found even if none of its macros is called, as Tera does."""
        if file.unit.parsed.imports:
            self.active(file).imports()

    # -- names

    def lookup(self, name: str) -> Any:
        """The value of a name, UNDEFINED if there is none."""
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        space = self.spaces.get(name)
        if space is not None:
            return space
        self.reads.variables.add(name)
        return self.names.get(name, UNDEFINED)

    def has_object(self, name: str) -> bool:
        """Whether a name holds an object; unlike a look-up this does not count as reading it."""
        holders = (*reversed(self.frames), self.names)
        return isinstance(next((holder[name] for holder in holders if name in holder), None), dict)

    def assign(self, name: str, value: Any, *, everywhere: bool) -> None:
        """``set`` and ``set_global``."""
        frames = self.frames
        index = len(frames) - 1
        if everywhere:
            while index and isinstance(frames[index], LoopFrame):
                index -= 1
        frames[index][name] = value

    def undefined(self, path: str, name: str, missing_key: str | None, holder: Any) -> Fault:
        """What to say of a name or path that is not there."""
        if missing_key is not None and isinstance(holder, dict):
            prefix = path[: -len(missing_key)] if path.endswith(missing_key) else ""
            near = did_you_mean(missing_key, holder, prefix)
        elif missing_key is None:
            near = self._near_name(name)
        else:
            near = ""
        hint = None if near else _hint_for(name, missing_key, holder)
        cause = name if missing_key is None else path
        return Fault("CLN102", f"`{path}` is undefined{near}", hint, name=cause)

    def _near_name(self, name: str) -> str:
        known = [*self.names, *self.spaces, *(key for frame in self.frames for key in frame)]
        return did_you_mean(name, known)

    # -- environment, clock and seed

    def read_environment(self, name: str) -> Any:
        """An environment variable, or the fact that it is missing."""
        value = self.inputs.environment.get(name)
        self.reads.environment[name] = value
        return Missing(name) if value is None else value

    def now_ns(self) -> int:
        """Nanoseconds since 1970: frozen, or the clock of this rendering."""
        if self.inputs.frozen_ns is not None:
            return self.inputs.frozen_ns
        self.reads.nondeterministic = True
        if not self.inputs.clock_ns:
            self.inputs.clock_ns = time.time_ns()
        return self.inputs.clock_ns

    def now(self) -> datetime:
        """The same as a date, in UTC, to the microsecond."""
        seconds, nanos = divmod(self.now_ns(), 1_000_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000)

    def seed_for_call(self) -> str:
        """The seed of a generator call that names none."""
        index = self.calls.get(self.current_file, 0)
        self.calls[self.current_file] = index + 1
        if self.inputs.seed is not None:
            return f"{self.inputs.seed}:{self.current_file}:{index}"
        self.reads.nondeterministic = True
        if not self.inputs.entropy:
            self.inputs.entropy = os.urandom(16).hex()
        return f"{self.inputs.entropy}:{self.current_file}:{index}"

    # -- limits

    def take_turn(self) -> None:
        """Count one turn of a loop.

        Raises
        ------
        Fault
            CLN108 beyond 10⁶ turns or 10 seconds.
        """
        self.turns += 1
        if self.turns % _TURNS_BETWEEN_CLOCK_CHECKS == 0 or self.turns > MAX_TURNS:
            if self.turns > MAX_TURNS:
                raise Fault("CLN108", f"more than {MAX_TURNS} loop turns")
            self.check_clock()

    def check_clock(self) -> None:
        """Fail with CLN108 if the rendering takes too long."""
        if time.monotonic() > self.deadline:
            raise Fault("CLN108", f"rendering takes more than {MAX_SECONDS:.0f} seconds")

    def produce(self, text: str) -> str:
        """Count a text that an operation has made."""
        size = len(text)
        if size > 1024:  # noqa: PLR2004 - small texts are bounded by the limit on turns
            if size > MAX_OUTPUT_CHARS:
                raise Fault("CLN108", f"a value grows beyond {MAX_OUTPUT_CHARS >> 20} MiB")
            self.spend(size)
        return text

    def spend(self, work: int) -> None:
        """Count work on long texts and arrays, in characters copied.

        Raises
        ------
        Fault
            CLN108 where it comes to more than a rendering has any use for.
        """
        self.produced += work
        if self.produced > MAX_PRODUCED_CHARS:
            raise Fault(
                "CLN108", f"values grow beyond {MAX_OUTPUT_CHARS >> 20} MiB, or are handled too often"
            )

    def enter(self) -> None:
        """Count one level of macros and includes."""
        self._check_depth(self.depth + 1)
        self.depth += 1
        self.check_clock()

    @staticmethod
    def _check_depth(depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Fault("CLN108", f"macros and includes are nested deeper than {MAX_DEPTH}")

    def collect(self, pieces: Iterator[str]) -> str:
        """Join output, within the limit on its size."""
        if self.tracing:
            return self.collect_traced(pieces)
        parts: list[str] = []
        size = 0
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size > MAX_OUTPUT_CHARS:
                raise Fault("CLN108", f"more than {MAX_OUTPUT_CHARS >> 20} MiB of output")
        return "".join(parts)

    def collect_traced(self, pieces: Iterator[str]) -> str:
        """As `collect`, keeping where each piece was written, for the source map."""
        parts: list[str] = []
        places: list[tuple[int, str, Unit, int]] = []
        offset = 0
        for piece in pieces:
            place = innermost_place(pieces)
            if isinstance(place, tuple) and not place[0].is_builtin:
                places.append((offset, place[0].display, place[0].unit, place[1]))
            parts.append(piece)
            offset += len(piece)
        text = "".join(parts)
        self.last_call = (text, tuple(places))
        return text

    # -- findings

    def mark(self, text: str) -> None:
        """Note that the output of an expression still holds a marker (CLN112)."""
        *_, place = calling_places()
        self.marked.setdefault(place, "{{" if "{{" in text else "{%")


def _hint_for(name: str, missing_key: str | None, holder: Any) -> str | None:
    if missing_key is None or (name == "vars" and isinstance(holder, dict)):
        return f'define it in [vars] or with `-m {missing_key or name}=…`, or give a `default(value="…")`'
    if isinstance(holder, (dict, list)):
        return 'give a `default(value="…")` if it may be absent'
    return f"its left side is {kind_of(holder)}, which has no parts"
