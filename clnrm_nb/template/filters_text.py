"""Filters over strings and numbers (``format.md`` 2.9)."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from clnrm_nb.template.faults import Fault
from clnrm_nb.template.values import WHITE, kind_of, text_of, toml_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clnrm_nb.template.signature import Registry

__all__ = ["camel", "graphemes", "kebab", "pascal", "pattern_text", "register", "sha256", "slug", "snake"]

_WORD: Final = re.compile(r"\b([\w'])([\w']*)\b")
_BETWEEN_TAGS: Final = re.compile(r">\s+<")
_LINE: Final = re.compile(r"\r?\n")
_INT64: Final = 2**63
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_HTML: Final = str.maketrans({**_ESCAPES, "'": "&#x27;", "/": "&#x2F;"})
_XML: Final = str.maketrans({**_ESCAPES, "'": "&apos;"})
_SLASHES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "'": "\\'"})


def _title(text: str) -> str:
    return _WORD.sub(lambda match: match.group(1).upper() + match.group(2).lower(), text)


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:].lower()


def pattern_text(text: str) -> str:
    r"""A pattern or separator: ``\n`` and ``\t`` in it mean the characters; strings have no escapes."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


def _trim_start_matches(text: str, pattern: str) -> str:
    pattern = pattern_text(pattern)
    start = 0
    while pattern and text.startswith(pattern, start):
        start += len(pattern)
    return text[start:]


def _trim_end_matches(text: str, pattern: str) -> str:
    pattern = pattern_text(pattern)
    end = len(text)
    while pattern and text.endswith(pattern, 0, end):
        end -= len(pattern)
    return text[:end]


def _replace(run: Any, text: str, old: str, new: str) -> str:
    pieces = text.count(old)
    _bounded(len(text) + pieces * max(len(new) - len(old), 0))
    return run.produce(text.replace(old, new))  # type: ignore[no-any-return]


def _bounded(size: int) -> None:
    """Refuse before the memory is taken."""
    if size > 16 * 1024 * 1024:
        raise Fault("CLN108", "a value grows beyond 16 MiB")


_JOINER: Final = "\u200d"
_REGIONAL: Final = range(0x1F1E6, 0x1F200)
_MODIFIERS: Final = range(0x1F3FB, 0x1F400)


def graphemes(text: str) -> Iterator[str]:
    """Clusters a reader sees as one character: marks, joiners, modifiers, flags, Hangul, CR LF."""
    start = flags = 0
    for index, char in enumerate(text):
        flags = flags + 1 if ord(char) in _REGIONAL else 0
        is_second_flag = flags > 0 and flags % 2 == 0
        if index and not is_second_flag and not _extends(text[index - 1], char, is_first=index - 1 == start):
            yield text[start:index]
            start = index
    if text:
        yield text[start:]


def _extends(before: str, char: str, *, is_first: bool) -> bool:
    """Whether a character belongs to the cluster of the one before it, which may be its first."""
    if before == "\r":
        return char == "\n"
    if before in "\n\x00":
        return False
    code = ord(char)
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Mc") or char == _JOINER or code in _MODIFIERS:
        return True
    if before == _JOINER and not is_first:
        return category == "So"
    # Hangul: vowels and finals join the syllable before them.
    is_jamo = 0x1160 <= code <= 0x11FF  # noqa: PLR2004 - vowel and final jamo
    return is_jamo and (0x1100 <= ord(before) <= 0x11FF or 0xAC00 <= ord(before) <= 0xD7A3)  # noqa: PLR2004  # Unicode's blocks.


def _truncate(text: str, length: int, end: str) -> str:
    if len(text) <= length:
        return text
    kept = "".join(islice(graphemes(text), length))
    return text if len(kept) == len(text) else kept + end


def _striptags(text: str) -> str:
    """Without ``<!-- … -->`` of one line and ``<…>``; linear also where nothing is ever closed."""
    parts: list[str] = []
    position = comment_end = line_end = 0
    while (start := text.find("<", position)) >= 0:
        if text.startswith("<!--", start):
            if comment_end < start + 4:
                comment_end = _found(text, "-->", start + 4)
            if line_end < start:
                line_end = _found(text, "\n", start)
        is_comment = text.startswith("<!--", start) and comment_end < line_end
        end = comment_end + 3 if is_comment else _found(text, ">", start) + 1
        if end > len(text):
            break
        parts.append(text[position:start])
        position = end
    return "".join([*parts, text[position:]])


def _found(text: str, part: str, start: int) -> int:
    """Where a part comes next; beyond the end where it does not."""
    index = text.find(part, start)
    return index if index >= 0 else len(text) + len(part)


def _split(text: str, pattern: str) -> list[str]:
    pattern = pattern_text(pattern)
    # An empty pattern matches between all characters and at both ends, as in Tera.
    return text.split(pattern) if pattern else ["", *text, ""]


def _indent(text: str, prefix: str, first: bool, blank: bool) -> str:  # noqa: FBT001 - called by name only
    lines = _LINE.split(text)
    if lines[-1] == "" and len(lines) > 1:
        lines.pop()  # a final line break ends a line, it does not begin one
    _bounded(len(text) + len(prefix) * len(lines))
    parts = [(prefix if first and text else "") + lines[0]]
    parts += [(prefix if blank or line.strip(WHITE) else "") + line for line in lines[1:]]
    return "\n".join(parts)


def _words(text: str) -> list[str]:
    """Words of a name: split at non-alphanumerics, lower→upper, letter↔digit, end of a run of capitals."""
    words: list[str] = []
    for run in re.findall(r"[^\W_]+", text):
        start = 0
        for index in range(1, len(run)):
            before, char = run[index - 1], run[index]
            follows = run[index + 1] if index + 1 < len(run) else ""
            starts_word = (
                (before.islower() and char.isupper())
                or before.isdigit() != char.isdigit()
                or (before.isupper() and char.isupper() and follows.islower())
            )
            if starts_word:
                words.append(run[start:index])
                start = index
        words.append(run[start:])
    return words


_LETTERS: Final = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ı": "i", "ŋ": "ng", "Ŋ": "NG"}
)
"""Latin letters that Unicode does not decompose, as Tera writes them."""


def slug(text: str) -> str:
    """Lower-case runs of ASCII letters and digits joined by ``-``; accents are dropped from letters."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))


def kebab(text: str) -> str:
    """``version-2025-test``."""
    return "-".join(_words(text)).lower()


def snake(text: str) -> str:
    """``version_2025_test``."""
    return "_".join(_words(text)).lower()


def pascal(text: str) -> str:
    """``Version2025Test``."""
    return "".join(word[:1].upper() + word[1:].lower() for word in _words(text))


def camel(text: str) -> str:
    """``version2025Test``."""
    first, *others = _words(text) or [""]
    return first.lower() + "".join(word[:1].upper() + word[1:].lower() for word in others)


def sha256(text: str) -> str:
    """64 hex digits of the UTF-8 text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _urlencode(text: str) -> str:
    return quote(text, safe="/-_.~%", errors="replace")


def _urlencode_strict(text: str) -> str:
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}"  # noqa: PLR2004 - ASCII
        for byte in text.encode("utf-8", "replace")
    )


def _round(number: float, method: str, precision: int) -> float:
    if not math.isfinite(number):
        return number
    if abs(precision) > 300:  # noqa: PLR2004 - beyond what a float can hold
        raise Fault("CLN104", f"`round` cannot keep {precision} digits")
    multiplier = 10.0**precision if precision else 1.0
    scaled = number * multiplier
    if method == "common":
        result = math.copysign(math.floor(abs(scaled) + 0.5), scaled) if abs(scaled) < 2**52 else scaled
    elif method == "ceil":
        result = float(math.ceil(scaled))
    elif method == "floor":
        result = float(math.floor(scaled))
    else:
        raise Fault("CLN104", f"`round` knows the methods common, ceil and floor, not `{method}`")
    return result / multiplier


_PREFIXES: Final = {2: "0b", 8: "0o", 16: "0x"}


def _int(value: Any, default: int, base: int) -> int:
    if type(value) is float:
        return _saturated(value)
    if type(value) is int:
        return value
    if type(value) is not str:
        raise Fault("CLN105", f"`int` needs a string or a number, got {kind_of(value)}")
    if not 2 <= base <= 36:  # noqa: PLR2004 - digits and letters
        raise Fault("CLN104", f"`int` needs a base from 2 to 36, got {base}")
    text = value.strip(WHITE)
    prefix = _PREFIXES.get(base)
    while prefix and text.startswith(prefix):
        text = text[len(prefix) :]
    if re.fullmatch(r"[+-]?[0-9A-Za-z]{1,80}", text):
        try:
            number = int(text, base)
        except ValueError:
            return default
        return number if -_INT64 <= number < _INT64 else default
    return _saturated(float(text)) if _FLOAT.fullmatch(text) and "." in text else default


_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _saturated(number: float) -> int:
    if math.isnan(number):
        return 0
    return (
        int(max(min(number, _INT64 - 1), -_INT64))
        if math.isfinite(number)
        else (_INT64 - 1 if number > 0 else -_INT64)
    )


def _float(value: Any, default: float) -> float:
    if type(value) is str:
        text = value.strip(WHITE)
        return float(text) if _FLOAT.fullmatch(text) else float(default)
    if type(value) in (int, float):
        return float(value)
    raise Fault("CLN105", f"`float` needs a string or a number, got {kind_of(value)}")


def _pluralize(number: float, singular: str, plural: str) -> str:
    return singular if abs(number) == 1 else plural


_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def _filesizeformat(number: int) -> str:
    if number < 0:
        raise Fault("CLN105", f"`filesizeformat` needs a size, got {number}")
    size = float(number)
    unit = 0
    while size >= 1024 and unit < len(_SIZES) - 1:  # noqa: PLR2004 - conventional kilobytes
        size /= 1024
        unit += 1
    text = str(int(size)) if size.is_integer() else f"{size:.2f}"
    return f"{text} {_SIZES[unit]}"


def _abs(number: Any) -> Any:
    result = abs(number)
    if type(result) is int and result >= _INT64:
        raise Fault("CLN105", "the result of `abs` does not fit into 64 bits")
    return result


_SLOW: Final = frozenset(
    [
        "title",
        "truncate",
        "trim_start_matches",
        "trim_end_matches",
        "split",
        "wordcount",
        "addslashes",
        "striptags",
        "urlencode",
        "urlencode_strict",
        "escape",
        "escape_xml",
        "indent",
        "slug",
        "slugify",
        "kebab",
        "snake",
        "camel",
        "pascal",
    ]
)
"""What handles each character in Python: some 100 ns for each (November 2026)."""


def register(registry: Registry) -> None:
    """Add these filters to a registry."""

    def plain(name: str, body: Any, *parameters: str) -> None:
        weight = 16 if name in _SLOW else 1
        registry.define("filter", name, "value:str", *parameters, weight=weight)(body)

    plain("upper", str.upper)
    plain("lower", str.lower)
    plain("capitalize", _capitalize)
    plain("title", _title)
    plain("trim", lambda text: text.strip(WHITE))
    plain("trim_start", lambda text: text.lstrip(WHITE))
    plain("trim_end", lambda text: text.rstrip(WHITE))
    plain("trim_start_matches", _trim_start_matches, "pat:str*")
    plain("trim_end_matches", _trim_end_matches, "pat:str*")
    registry.define("filter", "replace", "value:str", "from:str*", "to:str*", needs_run=True)(_replace)
    plain("truncate", _truncate, "length:uint=255", 'end:str="…"')
    plain("split", _split, "pat:str*")
    plain("wordcount", lambda text: len(text.split()))
    plain("addslashes", lambda text: text.translate(_SLASHES))
    plain("striptags", _striptags)
    plain("spaceless", lambda text: _BETWEEN_TAGS.sub("><", text))
    plain("linebreaksbr", lambda text: text.replace("\r\n", "<br>").replace("\n", "<br>"))
    plain("indent", _indent, 'prefix:str="    "', "first:bool=false", "blank:bool=false")
    plain("escape", lambda text: text.translate(_HTML))
    plain("escape_xml", lambda text: text.translate(_XML))
    registry.define("filter", "safe", "value:any")(lambda value: value)
    plain("urlencode", _urlencode)
    plain("urlencode_strict", _urlencode_strict)
    for names, body in (
        ("slug slugify", slug),
        ("kebab", kebab),
        ("snake", snake),
        ("camel", camel),
        ("pascal", pascal),
        ("sha256", sha256),
    ):
        plain(names, body)
    number = registry.define
    number("filter", "abs", "value:num")(_abs)
    number("filter", "round", "value:num", 'method:str="common"', "precision:int=0")(_round)
    number("filter", "int", "value:any", "default:int=0", "base:uint=10")(_int)
    number("filter", "float", "value:any", "default:num=0.0")(_float)
    number("filter", "pluralize", "value:num", 'singular:str=""', 'plural:str="s"')(_pluralize)
    number("filter", "filesizeformat", "value:int")(_filesizeformat)
    number("filter", "as_str", "value:any")(text_of)
    number("filter", "toml_encode", "value:any", needs_run=True)(
        lambda run, value: run.produce(toml_text(value))
    )
