"""What text from strangers may look like in a report.

Span names, attribute values and program output reach terminals and notebooks here. Control characters, escape
sequences and characters that reorder a line are shown as escapes, never passed on; secrets are masked before
anything is shown.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.cells import cell_len, set_cell_size

__all__ = [
    "Mask",
    "clipped",
    "duration_text",
    "json_ready",
    "number_text",
    "one_line",
    "value_text",
    "visible",
    "wrapped",
]

Mask = Callable[[str], str]

_TAB: Final = "    "
_MS_PER_S: Final = 1_000
_MS_PER_MIN: Final = 60_000
_ROUNDED_UP: Final = 999.5
"""From here on, three digits are those of the next unit."""
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and line feed
    "\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c"  # marks that reorder a line
    "\u2028\u2029\ufeff\ufff9-\ufffb"  # line separators, byte order mark, interlinear marks
    "\ud800-\udfff"  # halves of a pair, which no encoder takes
    "\U000e0000-\U000e007f]"  # invisible tags
)


def visible(text: str) -> str:
    """`text` with everything a terminal or a browser would obey, rather than show, written as escapes."""
    return _HIDDEN.sub(_escape, text.replace("\r\n", "\n").replace("\t", _TAB))


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number <= 0xFF:  # noqa: PLR2004  # Two hex digits.
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004  # Four.


def one_line(text: str) -> str:
    """As :func:`visible`, line breaks too."""
    return visible(text).replace("\n", "\\n")


def clipped(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells` terminal cells."""
    if cell_len(text) <= cells:
        return text
    room = max(cells - cell_len(ellipsis), 0)
    return set_cell_size(text, room).rstrip() + ellipsis


def wrapped(text: str, cells: int) -> list[str]:
    """Lines of at most `cells` cells; broken at spaces where there are any, words never lost."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        rest = paragraph
        # A character takes at most two cells, so that only the beginning has to be measured.
        while len(rest) > cells or cell_len(rest) > cells:
            head = set_cell_size(rest[:cells], cells)
            cut = head.rstrip().rfind(" ")
            cut = cut if cut > cells // 3 else max(len(head.rstrip()), 1)
            lines.append(rest[:cut].rstrip())
            rest = rest[cut:].lstrip()
        lines.append(rest)
    return lines


def value_text(value: Any) -> str:
    """A value of ``expected`` or ``actual``: text as it is, everything else as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def duration_text(duration_ms: float | None) -> str:
    """Three significant digits and a unit: ``8 ns``, ``1.24 µs``, ``41.2 ms``, ``1.24 s``, ``2 min 5 s``."""
    if duration_ms is None or not math.isfinite(duration_ms):
        return "?"
    if duration_ms < _MS_PER_S:
        return _below_a_second(duration_ms)
    if duration_ms < _MS_PER_MIN:
        seconds = duration_ms / _MS_PER_S
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"  # noqa: PLR2004  # one digit
    minutes, rest_ms = divmod(duration_ms, _MS_PER_MIN)
    return f"{int(minutes)} min {int(rest_ms / _MS_PER_S)} s"


def _below_a_second(duration_ms: float) -> str:
    """In the largest unit that has a digit before the point; nothing is finer than a nanosecond."""
    nanoseconds = round(duration_ms * 1e6)
    if nanoseconds == 0:
        return "0 ms"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if abs(nanoseconds) < _ROUNDED_UP * size:
            return f"{nanoseconds / size:.3g} {unit}"
    return "1.00 s"


def number_text(number: int, noun: str = "") -> str:
    """``41,310 spans``, ``1 span``."""
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def json_ready(value: Any, mask: Mask | None = None) -> Any:
    """A deep copy that JSON can hold, each text masked.

    Bytes become base64, numbers JSON has no word for become text, other objects their ``str``; halves of
    surrogate pairs become U+FFFD.
    """
    root: list[Any] = [value]
    pending: list[tuple[Any, Any]] = [(root, 0)]
    while pending:
        holder, key = pending.pop()
        item = holder[key]
        if isinstance(item, Mapping):
            copy: Any = {_clean(str(name), mask): inner for name, inner in item.items()}
            pending += [(copy, name) for name in copy]
        elif isinstance(item, list | tuple | set | frozenset):
            copy = list(item)
            pending += [(copy, index) for index in range(len(copy))]
        else:
            copy = _scalar(item, mask)
        holder[key] = copy
    return root[0]


def _scalar(item: Any, mask: Mask | None) -> Any:
    if item is None or isinstance(item, bool | int):
        return item
    if isinstance(item, float):
        return item if math.isfinite(item) else str(item)
    if isinstance(item, bytes):
        return _clean(base64.b64encode(item).decode("ascii"), mask)
    return _clean(str(item), mask)


def _clean(text: str, mask: Mask | None) -> str:
    text = mask(text) if mask else text
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
