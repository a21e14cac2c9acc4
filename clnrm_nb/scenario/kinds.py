"""The kinds of values a key may have, each as a small declaration that can read one value.

A kind normalises every accepted spelling and reports the rest: it returns the canonical value, or ``INVALID``
after it has added a finding. It never raises and never stops the reading of its neighbours, so that all
findings of a file come in one pass. Tables of keys are made of kinds in :mod:`clnrm_nb.scenario.tables`;
because they are data, the same declarations can be exported as a schema.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from clnrm_nb.config.duration import parse_duration
from clnrm_nb.config.nearest import nearest
from clnrm_nb.scenario.findings import label
from clnrm_nb.scenario.model import NamePattern
from clnrm_nb.scenario.offers import (
    as_array,
    as_boolean,
    as_integer,
    as_number,
    as_text,
    better_duration,
    better_instant,
    better_spelling,
    meant_word,
)
from clnrm_nb.scenario.repairs import Repair, Reword, Rewrite, bare_or_quoted, basic_string
from clnrm_nb.scenario.spelling import (
    MisspelledError,
    check_glob,
    flatten,
    parse_environment_line,
    parse_instant,
    split_command,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from clnrm_nb.scenario.findings import Findings
    from clnrm_nb.scenario.model import KeyPath

__all__ = [
    "DURATION",
    "INSTANT",
    "INVALID",
    "REGEX",
    "ArrayOf",
    "Choice",
    "Command",
    "Environment",
    "Flag",
    "Free",
    "FreeTable",
    "Kind",
    "Num",
    "Pattern",
    "Spelled",
    "Text",
    "TextMap",
    "Whole",
    "Word",
]


class _Invalid(Enum):
    INVALID = "invalid"


INVALID: Final = _Invalid.INVALID
"""What a kind returns for a value it has reported."""


class Kind(Protocol):
    """Reads one value. Kinds are hashable, so that tables made of them are made once."""

    def __hash__(self) -> int: ...

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The canonical form of `value`, or ``INVALID`` after a finding at `path`."""
        ...


@dataclass(frozen=True, slots=True)
class Free:
    """Anything; not looked into."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:  # noqa: ARG002  # The protocol's signature.
        """`value` as it is."""
        return value


@dataclass(frozen=True, slots=True)
class FreeTable:
    """A table; not looked into."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The table as it is."""
        if isinstance(value, dict):
            return value
        findings.wrong_type(path, "table", value)
        return INVALID


@dataclass(frozen=True, slots=True)
class Text:
    """A string; blank ones are CLN305 unless ``blank``."""

    blank: bool = True

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The string."""
        if not isinstance(value, str):
            findings.wrong_type(path, "string", value, as_text(path, value))
            return INVALID
        if not self.blank and not value.strip():
            findings.add("CLN305", path, f"`{label(path)}` must not be blank")
            return INVALID
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The boolean."""
        if isinstance(value, bool):
            return value
        findings.wrong_type(path, "boolean", value, as_boolean(path, value))
        return INVALID


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer within limits (inclusive)."""

    minimum: int | None = None
    maximum: int | None = None

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The integer."""
        if isinstance(value, bool) or not isinstance(value, int):
            findings.wrong_type(path, "integer", value, as_integer(path, value))
            return INVALID
        return _within(value, self.minimum, self.maximum, path, findings)


@dataclass(frozen=True, slots=True)
class Num:
    """A finite integer or float within limits (inclusive)."""

    minimum: float | None = None
    maximum: float | None = None

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The number, as a float."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            findings.wrong_type(path, "number", value, as_number(path, value))
            return INVALID
        if not math.isfinite(value):
            findings.add("CLN307", path, f"`{label(path)}` must be finite")
            return INVALID
        got = _within(value, self.minimum, self.maximum, path, findings)
        return got if got is INVALID else float(got)


def _within(
    value: float, minimum: float | None, maximum: float | None, path: KeyPath, findings: Findings
) -> Any:
    if (minimum is None or value >= minimum) and (maximum is None or value <= maximum):
        return value
    if minimum is not None and maximum is not None:
        limits = f"between {minimum:g} and {maximum:g}"
    else:
        limits = f"{minimum:g} or more" if minimum is not None else f"{maximum:g} or less"
    findings.add("CLN307", path, f"`{label(path)}` must be {limits}")
    return INVALID


@dataclass(frozen=True, slots=True)
class Word:
    """One of a closed set of words.

    ``any_case`` takes them in any case (the canonical one is the one declared); ``preferred`` is the way they
    are written, where another case is an older spelling (CLN308); ``also`` maps other words to them.
    """

    words: tuple[str, ...]
    what: str = "word"
    any_case: bool = False
    preferred: Callable[[str], str] | None = None
    also: tuple[tuple[str, str], ...] = ()

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The word as declared."""
        if not isinstance(value, str):
            findings.wrong_type(path, "string", value)
            return INVALID
        word = value.lower() if self.any_case else value
        other = dict(self.also).get(word)
        if other is not None:
            repair = Repair(f"Write `{other}`", (Reword(path, other),))
            findings.add("CLN308", path, f"`{value}` is spelled `{other}`", part="value", repair=repair)
            return other
        if word in self.words:
            if self.preferred is not None and value != self.preferred(word):
                better = self.preferred(word)
                respelled = better_spelling(path, value, better)
                findings.add("CLN308", path, f"`{value}` is spelled `{better}`", repair=respelled)
            return word
        guess = nearest(word, self.words)
        hint = f"; did you mean `{guess}`?" if guess else ""
        article = "an" if self.what[0] in "aeiou" else "a"
        findings.add(
            "CLN306",
            path,
            f"`{label(path)}`: `{value}` is not {article} {self.what}{hint}",
            hint=f"one of {', '.join(self.words)}",
            repair=meant_word(path, value, [self._written(known) for known in self.words]),
        )
        return INVALID

    def _written(self, word: str) -> str:
        return self.preferred(word) if self.preferred is not None else word


@dataclass(frozen=True, slots=True)
class Spelled:
    """A value that one function of :mod:`clnrm_nb.scenario.spelling` reads; ``mend`` repairs it if it can."""

    accepts: tuple[type, ...]
    expected: str
    parse: Callable[[Any], Any]
    mend: Callable[[KeyPath, Any], Repair | None] | None = None

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """What the function makes of it."""
        if isinstance(value, bool) or not isinstance(value, self.accepts):
            quoted = as_text(path, value) if self.accepts == (str,) else None
            findings.wrong_type(path, self.expected, value, quoted)
            return INVALID
        try:
            return self.parse(value)
        except MisspelledError as error:
            repair = self.mend(path, value) if self.mend is not None else None
            findings.add(error.code, path, f"`{label(path)}`: {error}", repair=repair)
            return INVALID


def _seconds(value: str | float) -> float:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise MisspelledError("CLN312", str(error)) from None


@lru_cache(maxsize=1_024)
def _compiled(text: str) -> str:
    try:
        # What Python may one day read differently is no business of the person who runs the test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise MisspelledError("CLN314", str(error)) from None
    return text


DURATION: Final = Spelled((str, int, float), "duration", _seconds, better_duration)
"""Seconds of a duration, CLN312."""

INSTANT: Final = Spelled((str, datetime), "date-time", parse_instant, better_instant)
"""An RFC 3339 date-time, CLN313."""

REGEX: Final = Spelled((str,), "string", _compiled)
"""A regular expression, CLN314."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name to match: a string (a glob iff it has ``*``, ``?``, ``[``), ``{exact}`` or ``{regex}``."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The :class:`~clnrm_nb.scenario.model.NamePattern`."""
        if isinstance(value, dict):
            return self._of_table(value, path, findings)
        if not isinstance(value, str):
            findings.wrong_type(path, "string, `{exact}` or `{regex}`", value, as_text(path, value))
            return INVALID
        if not value.strip():
            findings.add("CLN305", path, f"`{label(path)}` must not be blank")
            return INVALID
        pattern = NamePattern.of(value)
        if pattern.mode == "glob":
            try:
                check_glob(value)
            except MisspelledError as error:
                findings.add(error.code, path, str(error))
                return INVALID
        return pattern

    def _of_table(self, value: dict[str, Any], path: KeyPath, findings: Findings) -> Any:
        if len(value) != 1 or next(iter(value)) not in ("exact", "regex"):
            findings.add("CLN303", path, f"`{label(path)}`: a matcher is `{{exact = …}}` or `{{regex = …}}`")
            return INVALID
        if "regex" in value:
            read = REGEX.read(value["regex"], (*path, "regex"), findings)
            return INVALID if read is INVALID else NamePattern(text=read, mode="regex")
        read = Text(blank=False).read(value["exact"], (*path, "exact"), findings)
        return INVALID if read is INVALID else NamePattern(text=read)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: an argument list verbatim, or a string by the argv rule. Empty is CLN305."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The argument list."""
        if isinstance(value, str):
            return Spelled((str,), "string", split_command).read(value, path, findings)
        words = ArrayOf(Text(), expected="array of strings or string").read(value, path, findings)
        if words is INVALID or len(words) != len(value):
            return INVALID
        if not words or not words[0].strip():
            findings.add("CLN305", path, f"`{label(path)}` must not be empty")
            return INVALID
        return words


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """An array; items that cannot be read are reported and left out. ``single`` takes one bare item too."""

    item: Kind
    expected: str = "array"
    single: bool = False
    filled: bool = False

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The items, as a tuple."""
        if not isinstance(value, list):
            if self.single:
                only = self.item.read(value, path, findings)
                return INVALID if only is INVALID else (only,)
            findings.wrong_type(path, self.expected, value, as_array(path, value))
            return INVALID
        if self.filled and not value:
            findings.add("CLN305", path, f"`{label(path)}` must not be empty")
            return INVALID
        items = (self.item.read(item, (*path, index), findings) for index, item in enumerate(value))
        return tuple(item for item in items if item is not INVALID)


@dataclass(frozen=True, slots=True)
class Choice:
    """Another kind for each type the value may have."""

    by_type: tuple[tuple[type, Kind], ...]
    expected: str

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """What the kind of the value's type makes of it."""
        for accepted, kind in self.by_type:
            if isinstance(value, accepted):
                return kind.read(value, path, findings)
        takes_array = any(accepted is list for accepted, _ in self.by_type)
        findings.wrong_type(path, self.expected, value, as_array(path, value) if takes_array else None)
        return INVALID


@dataclass(frozen=True, slots=True)
class TextMap:
    """A table of strings; nested tables are flattened to dotted names."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The strings by name."""
        if not isinstance(value, dict):
            findings.wrong_type(path, "table", value)
            return INVALID
        texts: dict[str, str] = {}
        for name, text, where in flatten(value, path):
            if isinstance(text, str):
                texts[name] = text
            else:
                findings.wrong_type(where, "string", text, as_text(where, text))
        return texts


@dataclass(frozen=True, slots=True)
class Environment:
    """Environment variables: a table of strings, numbers and booleans, or an array of ``"K=V"``."""

    def read(self, value: Any, path: KeyPath, findings: Findings) -> Any:
        """The values by name, all as text, in file order."""
        if isinstance(value, list):
            return self._of_lines(value, path, findings)
        if not isinstance(value, dict):
            findings.wrong_type(path, "table or array of `NAME=value`", value)
            return INVALID
        variables: dict[str, str] = {}
        for name, entry in value.items():
            if isinstance(entry, str):
                variables[name] = entry
            elif isinstance(entry, int | float):
                variables[name] = str(entry).lower() if isinstance(entry, bool) else str(entry)
                # The value stays out of the message: it may be a secret.
                where = (*path, name)
                quoted = Repair("Write it in quotes", (Rewrite(where, (basic_string(variables[name]),)),))
                findings.add("CLN308", where, f"`{name}` is spelled as text, in quotes", repair=quoted)
            else:
                findings.wrong_type((*path, name), "string, number or boolean", entry)
        return variables

    def _of_lines(self, lines: list[Any], path: KeyPath, findings: Findings) -> dict[str, str]:
        kind = ArrayOf(Spelled((str,), "string", parse_environment_line))
        variables = dict(kind.read(lines, path, findings))
        repair = None
        if len(variables) == len(lines):
            entries = ", ".join(f"{bare_or_quoted(k)} = {basic_string(v)}" for k, v in variables.items())
            repair = Repair("Write a table", (Rewrite(path, (f"{{ {entries} }}",)),))
        findings.add("CLN308", path, f"`{label(path)}` is spelled as a table", part="key", repair=repair)
        return variables
