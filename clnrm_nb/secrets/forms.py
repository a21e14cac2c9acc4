"""All the ways in which one value may be written, as something to look for.

Looking has two steps, because nearly no text holds a secret. First a *needle*: bytes that every occurrence
holds, so that a plain search (the fastest there is) can say no. Only around a needle that was found does a
regular expression decide where the occurrence begins and ends. It takes each character in any of its
spellings, so that no list of encoders has to be complete and two of them may be mixed.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import quote

__all__ = ["Aligned", "Written", "aligned", "hexadecimal", "literals", "written"]

_BASE64: Final = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode()
_NEEDLE_LENGTH: Final = 3
_ASCII: Final = 0x7F
_UNBOUNDED_UNIT: Final = 64
_RUN: Final = re.compile(r"[A-Za-z0-9]+")
# What encoders of URLs leave as it is: none, Python's default, encodeURIComponent, encodeURI, forms.
_SAFE: Final = ("", "/", "!'()*~", ";,/?:@&=+$#!'()*~", "*")
_SHORT_ESCAPES: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\v": "v", "\0": "0"}
_ENTITIES: Final = {"&": "amp|#38|#x26", "<": "lt|#60|#x3[cC]", ">": "gt|#62|#x3[eE]", '"': "quot|#34|#x22"}
_ENTITIES["'"] = "apos|#39|#x27"
# An escape may itself have been escaped, several times over.
_BACKSLASHES: Final = r"\\{1,16}"
_PERCENT: Final = "%(?:25){0,4}"
_BREAK: Final = rb"(?:\s|\\[nr])*"


@dataclass(frozen=True)
class Written:
    """A value as text: plain, or with characters escaped for URLs, JSON, source code or HTML.

    Parameters
    ----------
    value : str
    needles : tuple of bytes
        One of them is in every occurrence.
    reach : int
        Bytes that an occurrence may take on either side of its needle's beginning.
    """

    value: str = field(repr=False)
    needles: tuple[bytes, ...] = field(repr=False)
    reach: int

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """A whole occurrence. Made when a needle was found: of a long key it takes a tenth of a second."""
        return re.compile(b"".join(map(_unit, self.value)))


@dataclass(frozen=True)
class Aligned:
    """A value inside of base64 text, which has three forms by where in the text it begins.

    Parameters
    ----------
    core : bytes
        The characters that the value alone decides, in the standard alphabet.
    web : bytes
        The same in the URL-safe one.
    before, after : bytes
        What may stand beside the core: characters of which the value decides a part.
    """

    core: bytes = field(repr=False)
    web: bytes = field(repr=False)
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """The core in either alphabet, also wrapped or percent-encoded."""
        return re.compile(_BREAK.join(map(_digit, self.core)))


def written(value: str) -> Written:
    """How to find a value as text."""
    runs = sorted(_RUN.findall(value), key=len)
    if runs and len(runs[-1]) >= _NEEDLE_LENGTH:
        # Letters and digits are left alone by every encoder.
        needles: tuple[bytes, ...] = (runs[-1].encode(),)
    else:
        needles = tuple(literals(value))
    reach = sum(1 if char.isascii() and char.isalnum() else _UNBOUNDED_UNIT for char in value)
    return Written(value, needles, reach)


def literals(value: str) -> list[bytes]:
    """The usual ways to write a value as text, each once, itself first."""
    percent = [quote(value, safe=safe, errors="surrogateescape") for safe in _SAFE]
    percent += [text.replace("%20", "+") for text in percent]
    percent += [re.sub("%..", lambda code: code[0].lower(), text) for text in percent]
    escaped = [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    escaped += [text.replace("/", "\\/") for text in escaped]
    escaped += [re.sub(r"\\u....", lambda code: f"\\u{code[0][2:].upper()}", text) for text in escaped]
    forms = [value, *percent, *escaped, repr(value)[1:-1], html.escape(value)]
    return list(dict.fromkeys(form.encode("utf-8", "surrogateescape") for form in forms))


def _unit(char: str) -> bytes:
    """A pattern for one character in any spelling."""
    if char.isascii() and char.isalnum():
        return char.encode()
    raw = char.encode("utf-8", "surrogateescape")
    spellings = [_plain(char, raw), "".join(_PERCENT + _any_case(f"{byte:02x}") for byte in raw).encode()]
    utf16 = char.encode("utf-16-be", "surrogatepass")
    pairs = [utf16[index : index + 2].hex() for index in range(0, len(utf16), 2)]
    spellings.append("".join(f"{_BACKSLASHES}u{_any_case(pair)}" for pair in pairs).encode())
    if ord(char) <= 0xFF:  # noqa: PLR2004  # Two hex digits.
        spellings.append(f"{_BACKSLASHES}x{_any_case(f'{ord(char):02x}')}".encode())
    if char in _SHORT_ESCAPES:
        spellings.append(f"{_BACKSLASHES}{_SHORT_ESCAPES[char]}".encode())
    if char in _ENTITIES:
        spellings.append(f"&(?:{_ENTITIES[char]});".encode())
    return b"(?:" + b"|".join(spellings) + b")"


def _plain(char: str, raw: bytes) -> bytes:
    if char == "\n":
        # Also where a later hand has indented the lines.
        return rb"\r?\n[ \t]*"
    if char == " ":
        return rb"[ +]"
    if char == "\\":
        return _BACKSLASHES.encode()
    if char == "%":
        return _PERCENT.encode()
    if char in "\"'/$`":
        return rb"\\{0,16}" + re.escape(raw)
    return re.escape(raw)


def _any_case(digits: str) -> str:
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in digits)


def hexadecimal(raw: bytes) -> tuple[bytes, bytes]:
    """Hex digits in either case."""
    return raw.hex().encode(), raw.hex().upper().encode()


def aligned(raw: bytes) -> list[Aligned]:
    """The three forms of a value in base64."""
    return [_aligned(raw, offset) for offset in range(3)]


def _aligned(raw: bytes, offset: int) -> Aligned:
    encoded = base64.b64encode(bytes(offset) + raw + bytes(3))
    first, n_bits = -(-8 * offset // 6), 8 * (offset + len(raw))
    last = n_bits // 6
    core = encoded[first:last]
    before = after = b""
    if known := (6 * first) - 8 * offset:
        digit = _BASE64.index(encoded[first - 1]) % (1 << known)
        before = bytes(_BASE64[high << known | digit] for high in range(1 << (6 - known)))
    if known := n_bits - 6 * last:
        digit = _BASE64.index(encoded[last]) >> (6 - known)
        after = bytes(_BASE64[digit << (6 - known) | low] for low in range(1 << (6 - known)))
    return Aligned(
        core,
        core.translate(bytes.maketrans(b"+/", b"-_")),
        _in_both_alphabets(before),
        _in_both_alphabets(after),
    )


def _in_both_alphabets(digits: bytes) -> bytes:
    return digits + digits.translate(bytes.maketrans(b"+/", b"-_"))


def _digit(number: int) -> bytes:
    digit = bytes((number,))
    if digit == b"+":
        return rb"(?:[+-]|%2[bB])"
    if digit == b"/":
        return rb"(?:\\?/|_|%2[fF])"
    return digit
