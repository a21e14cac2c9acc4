"""Ids, times and enum words in all the spellings JSON dialects have for them.

OTLP/JSON says hex; protobuf's own JSON printer writes base64; some tools decode hex as if it were base64
and print the result as hex again (one and a half times too long). All three mean the same bytes and come out
as lower-case hex. What is none of them stays as it is: other products have ids of their own.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from typing import Any, Final

from clnrm_nb.spans.model import KINDS, STATUS_CODES

__all__ = [
    "SPAN_DIGITS",
    "TRACE_DIGITS",
    "is_hex_id",
    "kind_of",
    "nanoseconds_of",
    "read_id",
    "read_ids",
    "status_code_of",
    "time_of",
]

TRACE_DIGITS: Final = 32
SPAN_DIGITS: Final = 16

_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")
_USUAL: Final = {digits: re.compile(rf"(?!0{{{digits}}})[0-9a-f]{{{digits}}}") for digits in (16, 32)}
"""Ids as nearly all are written."""

_ALL_USUAL: Final = {
    digits: re.compile(rf"(?:(?:(?!0{{{digits}}})[0-9a-f]{{{digits}}})?,)*") for digits in (16, 32)
}
"""Many of them, or nothing, each with a comma behind it."""

_MAX_TIME: Final = 2**64 - 1
_TIME_DIGITS: Final = len(str(_MAX_TIME))
_DECIMAL: Final = re.compile(r"([0-9]+)\.([0-9]+)\Z")
_FRACTION_DIGITS: Final = 9


def is_hex_id(text: str, digits: int) -> bool:
    """Whether it is a valid id: that many hex digits, not all zero."""
    return len(text) == digits and _HEX.match(text) is not None and text.strip("0") != ""


def read_id(value: Any, digits: int) -> tuple[str | None, bool]:
    """An id as lower-case hex.

    Parameters
    ----------
    value : str, list of int or anything
        As found. Empty, all-zero and missing ids are ``None``.
    digits : {16, 32}
        Hex digits of a valid id.

    Returns
    -------
    tuple of (str or None, bool)
        The id, and whether it had been decoded wrongly before and was set right.
    """
    if type(value) is str and _USUAL[digits].fullmatch(value):
        return value, False
    if isinstance(value, list):
        value = _from_bytes(value)
    if not isinstance(value, str):
        return None, False
    text = value.strip().removeprefix("0x")
    restored = False
    if len(text) != digits or not _HEX.match(text):
        text, restored = _other_spelling(text, digits)
    text = text.lower() if _HEX.match(text) else text
    return (text if text.strip("0") else None), restored


def read_ids(values: list[Any], digits: int) -> tuple[list[str | None], set[int]]:
    """Many ids at once, as :func:`read_id`; and the places of those that were set right."""
    if len(values) == 1:
        found, restored = read_id(values[0], digits)
        return [found], {0} if restored else set()
    texts = [value if type(value) is str else "" if value is None else "?" for value in values]
    text = ",".join([*texts, ""])
    if text.count(",") == len(values) and _ALL_USUAL[digits].fullmatch(text):
        return [value or None for value in values], set()
    read = [read_id(value, digits) for value in values]
    return [one for one, _ in read], {place for place, (_, restored) in enumerate(read) if restored}


def _from_bytes(items: list[Any]) -> str | None:
    if all(type(item) is int and 0 <= item <= 255 for item in items):  # noqa: PLR2004  a byte
        return bytes(items).hex()
    return None


def _other_spelling(text: str, digits: int) -> tuple[str, bool]:
    """Base64 of the right number of bytes, or hex of what base64-decoding the hex gave."""
    if len(text) == digits * 3 // 2 and _HEX.match(text):
        once = b64encode(bytes.fromhex(text)).decode()
        if len(once) == digits and _HEX.match(once):
            return once, True
    if text.endswith("="):
        try:
            raw = b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            return text, False
        if len(raw) * 2 == digits:
            return raw.hex(), False
    return text, False


def time_of(value: Any) -> int | None:
    """Epoch nanoseconds from a number or decimal string; ``None`` where it is no such time."""
    if isinstance(value, str):
        # Never through a float: 19 digits do not fit.
        value = int(value) if len(value) <= _TIME_DIGITS and value.isascii() and value.isdigit() else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if type(value) is not int or not 0 <= value <= _MAX_TIME:
        return None
    return value


def nanoseconds_of(value: Any, unit_ns: int) -> int | None:
    """The same of a count of a unit. Fractions of it are kept: JavaScript counts halves of microseconds."""
    whole, fraction = time_of(value), 0
    if whole is None and isinstance(value, float | str) and (found := _DECIMAL.match(str(value))):
        whole = time_of(found[1])
        digits = found[2][:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0")
        fraction = int(digits) * unit_ns // 10**_FRACTION_DIGITS
    return None if whole is None else whole * unit_ns + fraction


def kind_of(value: Any, *, default: int = 0) -> int:
    """Index into ``KINDS`` from a number, a word, ``SPAN_KIND_X`` or ``SpanKind.X``."""
    if type(value) is int:
        return value if 0 <= value < len(KINDS) else 0
    if isinstance(value, str):
        word = value.lower().removeprefix("span_kind_").removeprefix("spankind.")
        return KINDS.index(word) if word in KINDS else default
    return default


def status_code_of(value: Any) -> int:
    """Index into ``STATUS_CODES`` from a number, a word or ``STATUS_CODE_X``; unknown ones are unset."""
    if type(value) is int:
        return value if 0 <= value < len(STATUS_CODES) else 0
    if isinstance(value, str):
        word = value.lower().removeprefix("status_code_").removeprefix("statuscode.")
        return STATUS_CODES.index(word) if word in STATUS_CODES else 0
    return 0
