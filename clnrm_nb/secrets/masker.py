"""What puts ``•••`` where a secret stands.

A secret is found as text (plain, or escaped for URLs, JSON, source code or HTML), in base64 of either
alphabet at any of its three alignments, also wrapped, and in hex. All occurrences of all secrets are found
first and replaced at once, so that of two that overlap neither leaves a part behind. Everything works on
bytes: programs print bytes, and a piece of one may not be text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from clnrm_nb.secrets.forms import Aligned, Written, aligned, hexadecimal, literals, written

__all__ = ["MASK", "SHORTEST", "Masker", "is_too_short"]

MASK: Final = "•••"

SHORTEST: Final = 4
"""Characters of the shortest secret that is masked: for a shorter one half of every output would be gone."""

_MASK_BYTES: Final = MASK.encode()
# After so many false alarms one pass over all of it is cheaper.
_MANY: Final = 1_000
# Line breaks and indentation within base64, and the backslash of `\/`.
_IGNORED: Final = b" \t\r\n\\"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_PADDING: Final = (b"=", b"%3D", b"%3d")

_Spans = list[tuple[int, int]]


def is_too_short(value: str) -> bool:
    """Whether a value is too short to be masked, white space around it not counted."""
    return 0 < len(value.strip()) < SHORTEST


class Masker:
    """Hides some secrets.

    Parameters
    ----------
    values : iterable of str
        The secrets, with and without white space around them; each line of a longer one is a secret too, as
        lines are what logs are taken apart into. Those below :data:`SHORTEST` characters are left out.
    """

    __slots__ = ("_aligned", "_can_skip", "_cores", "_hex", "_literals", "_needles", "_shortest", "_written")

    def __init__(self, values: Iterable[str] = ()) -> None:
        secrets = _parts(values)
        self._written = [written(secret) for secret in secrets]
        raw = [secret.encode("utf-8", "surrogateescape") for secret in secrets]
        self._aligned = [form for each in raw for form in aligned(each)]
        self._hex = [digits for each in raw for digits in hexadecimal(each)]
        self._literals = [form for secret in secrets for form in literals(secret)]
        self._shortest = min(map(len, secrets), default=0)
        needles = [needle for form in self._written for needle in form.needles]
        # Looking for text in text takes a third of the time that bytes in bytes take, if both are short.
        self._needles = [needle.decode("utf-8", "surrogateescape") for needle in [*needles, *self._hex]]
        self._cores = [form.core.decode() for form in self._aligned]
        self._can_skip = all(len(form.needles) == 1 for form in self._written)

    def __repr__(self) -> str:
        """How many secrets, not which."""
        return f"<Masker of {len(self._written)} secrets>"

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._written)

    # ------------------------------------------------------------------------------------------- use

    def text(self, text: str) -> str:
        """`text` without secrets; the same object if there are none in it."""
        if len(text) < self._shortest or not self._written:
            return text
        data = text.encode("utf-8", "surrogatepass")
        if not self._may_be_in(text, data) or not (spans := self._find(data)):
            return text
        masked = _replaced(data, spans)
        try:
            return masked.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return masked.decode("utf-8", "replace")

    def data(self, data: bytes, *, is_cut: bool = False) -> bytes:
        """As :meth:`text`.

        Parameters
        ----------
        is_cut : bool
            Its end is missing: the beginning of a secret, from :data:`SHORTEST` characters on, that stands
            there is masked too.
        """
        if not self._written:
            return data
        spans = self._find(data)
        if is_cut and (begun := self._begun(data)) is not None:
            spans.append((begun, len(data)))
        return _replaced(data, spans) if spans else data

    def value(self, value: Any) -> Any:
        """A copy of a value of any shape, each text in it (keys too) without secrets; numbers stay."""
        if not self._written:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, Mapping):
            return {self.value(key): self.value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            copies = [self.value(inner) for inner in value]
            return tuple(copies) if isinstance(value, tuple) else copies
        return value

    def is_clean(self, values: object) -> bool:
        """Whether certainly no secret is anywhere in plain containers and records, found out quickly.

        Says no rather than look closely.
        """
        if not self._written:
            return True
        # However text is escaped in a representation, letters and digits stand as they are.
        text = repr(values)
        return self._can_skip and not self._may_be_in(text, text.encode("utf-8", "surrogatepass"))

    # -------------------------------------------------------------------------------------- searching

    def _find(self, data: bytes) -> _Spans:
        spans: _Spans = []
        for form in self._written:
            for needle in form.needles:
                if needle in data:
                    _find_written(data, needle, form, spans)
        for digits in self._hex:
            _find_plain(data, digits, spans)
        compact = _compacted(data)
        for code in self._aligned:
            if count := compact.count(code.core):
                _find_aligned(data, code, count, spans)
        return spans

    def _may_be_in(self, text: str, data: bytes) -> bool:
        if any(map(text.__contains__, self._needles)):
            return True
        compact = _compacted(data).decode("latin-1")
        return any(map(compact.__contains__, self._cores))

    def _begun(self, data: bytes) -> int | None:
        """Where at the end of `data` some form of a secret begins that is not all there."""
        starts = [
            start
            for form in (*self._literals, *self._hex, *(one.core for one in self._aligned))
            if (start := _begins(data, form)) is not None
        ]
        return min(starts, default=None)


def _parts(values: Iterable[str]) -> list[str]:
    """Each value, and each line of it, that can be masked; longest first."""
    given = [value for value in values if value.strip()]
    parts = {part for value in given for part in (value, value.strip(), *map(str.strip, value.splitlines()))}
    return sorted((part for part in parts if len(part) >= SHORTEST), key=lambda one: (-len(one), one))


def _find_plain(data: bytes, needle: bytes, spans: _Spans) -> int:
    """Add all places of `needle`; how many there are."""
    position, count = data.find(needle), 0
    while position >= 0:
        count += 1
        end = position + len(needle)
        spans.append((position, end))
        position = data.find(needle, end)
    return count


def _find_written(data: bytes, needle: bytes, form: Written, spans: _Spans) -> None:
    position, done, misses = data.find(needle), 0, 0
    while position >= 0:
        found = form.pattern.search(data, max(position - form.reach, done), position + form.reach)
        if found is None:
            misses += 1
            if misses > _MANY:
                spans += [each.span() for each in form.pattern.finditer(data, position)]
                return
            position = data.find(needle, position + 1)
            continue
        spans.append(found.span())
        done = found.end()
        # What was found may lie before this needle, which then is still to be looked at.
        position = data.find(needle, done)


def _find_aligned(data: bytes, form: Aligned, count: int, spans: _Spans) -> None:
    """Add the places of a base64 form of which there are `count`, wrapped ones included."""
    found: _Spans = []
    n_plain = _find_plain(data, form.core, found)
    if form.web != form.core:
        n_plain += _find_plain(data, form.web, found)
    if n_plain < count:
        found += [each.span() for each in form.pattern.finditer(data)]
    spans += [_widened(data, start, end, form) for start, end in found]


def _widened(data: bytes, start: int, end: int, form: Aligned) -> tuple[int, int]:
    """With the characters beside it that the secret decides in part, and the padding."""
    if start and data[start - 1] in form.before:
        start -= 1
    if end < len(data) and data[end] in form.after:
        end += 1
    while padding := next((one for one in _PADDING if data.startswith(one, end)), b""):
        end += len(padding)
    return start, end


def _compacted(data: bytes) -> bytes:
    """`data` as base64 in the standard alphabet without line breaks, where that is what it is."""
    if b"\\" in data:
        data = data.replace(b"\\n", b"").replace(b"\\r", b"")
    if b"%2" in data:
        for code, digit in ((b"%2B", b"+"), (b"%2b", b"+"), (b"%2F", b"/"), (b"%2f", b"/")):
            data = data.replace(code, digit)
    return data.translate(_TO_STANDARD, _IGNORED)


def _begins(data: bytes, form: bytes) -> int | None:
    position = data.find(form[:SHORTEST], max(len(data) - len(form) + 1, 0))
    while position >= 0:
        if form.startswith(data[position:]):
            return position
        position = data.find(form[:SHORTEST], position + 1)
    return None


def _replaced(data: bytes, spans: _Spans) -> bytes:
    pieces: list[bytes] = []
    done = 0
    for start, end in sorted(spans):
        if end <= done:
            continue
        if start >= done:
            pieces += (data[done:start], _MASK_BYTES)
        done = end
    pieces.append(data[done:])
    return b"".join(pieces)
