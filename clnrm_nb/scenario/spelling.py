"""The spellings a scenario file may use for one thing (``format.md`` 1.9): pure functions on single values.

Each returns the canonical form or raises :class:`MisspelledError` with the code and the sentence to report;
none knows where in a file its value stands. Durations are :func:`clnrm_nb.config.duration.parse_duration`.
"""

from __future__ import annotations

import re
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clnrm_nb.scenario.model import ArtifactSpec, PortMapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clnrm_nb.scenario.model import KeyPath

__all__ = [
    "MisspelledError",
    "check_glob",
    "flatten",
    "parse_artifact",
    "parse_cpu_millicores",
    "parse_environment_line",
    "parse_image",
    "parse_instant",
    "parse_memory_mb",
    "parse_port",
    "parse_volume_text",
    "split_command",
]

PORT_MAX = 65_535

_ACTIVE = frozenset("|&;<>()*?[\n")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?"
    rf"{_PATH_PART}(?:/{_PATH_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,})?"
)
_PORT = re.compile(r"(?:(?:(\[[^\]]*\]|[^:/]+):)?([0-9]+):)?([0-9]+)(?:/(tcp|udp))?", re.IGNORECASE)
_VOLUME = re.compile(r"(.+?):([^:]+?)(?::(ro|rw))?", re.DOTALL)
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_MEMORY_MB = {"": 1 / 1_048_576, "k": 1 / 1_024, "m": 1.0, "g": 1_024.0, "t": 1_048_576.0}
INSTANT_PATTERN = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_INSTANT = re.compile(INSTANT_PATTERN)


class MisspelledError(ValueError):
    """A value that is none of the spellings of its kind; ``code`` says which finding that is."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# -------------------------------------------------------------------------------------------- commands


def split_command(text: str) -> tuple[str, ...]:
    """The argument list of a command string.

    Text with active shell syntax goes to ``sh -c`` as it is; anything else is split as a POSIX shell would.

    Raises
    ------
    MisspelledError
        CLN305 for blank text, CLN323 for a quote or backslash without its end.

    Examples
    --------
    >>> split_command("echo 'a b' c")
    ('echo', 'a b', 'c')
    >>> split_command("echo a | cat")
    ('sh', '-c', 'echo a | cat')
    """
    trimmed = text.strip()
    if not trimmed:
        raise MisspelledError("CLN305", "the command must not be blank")
    active, unclosed, quote = _scan(trimmed)
    if unclosed is not None and (active is None or unclosed < active):
        raise MisspelledError("CLN323", f"unbalanced `{quote}` in the command")
    if active is not None:
        return ("sh", "-c", text)
    try:
        words = shlex.split(_joined_lines(trimmed))
    except ValueError:
        raise MisspelledError("CLN323", "the command ends in a backslash") from None
    if not words or not words[0].strip():
        raise MisspelledError("CLN305", "the program name must not be blank")
    return tuple(words)


def _scan(text: str) -> tuple[int | None, int | None, str]:
    """Offset of the first active character, offset of an unclosed quote, and that quote."""
    active = 0 if _ASSIGNMENT.match(text) else None
    quote, opened, position, at_word_start = "", 0, 0, True
    while position < len(text):
        character = text[position]
        if character == "\\" and quote != "'":
            position += 2
            at_word_start = False
            continue
        if quote:
            if active is None and quote == '"' and character in "$`":
                active = position
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote, opened = character, position
        elif active is None and (
            character in _ACTIVE or character in "$`" or (at_word_start and character in "~#")
        ):
            active = position
        at_word_start = not quote and character.isspace()
        position += 1
    return active, opened if quote else None, quote


def _joined_lines(text: str) -> str:
    """`text` without the backslash-newline pairs that continue a line (shlex would keep the newline)."""
    if "\\\n" not in text:
        return text
    kept: list[str] = []
    quote, position = "", 0
    while position < len(text):
        character = text[position]
        step = 2 if character == "\\" and quote != "'" else 1
        if text[position : position + 2] != "\\\n" or quote == "'":
            kept.append(text[position : position + step])
        if step == 1 and character in "'\"":
            quote = {"": character, character: ""}.get(quote, quote)
        position += step
    return "".join(kept)


# -------------------------------------------------------------------------------------------- services


def parse_port(value: str | int) -> PortMapping:
    """A published port: ``N``, ``"H:C[/proto]"`` or ``"IP:H:C[/proto]"``; 0 as host port takes a free one."""
    match = _PORT.fullmatch(str(value).strip())
    if match is None:
        raise MisspelledError(
            "CLN303", f"{value!r} is not a port; write `CONTAINER`, `HOST:CONTAINER` or `IP:HOST:CONTAINER`"
        )
    address, host, container, protocol = match.groups()
    host_port, container_port = int(host or container), int(container)
    if max(host_port, container_port) > PORT_MAX or container_port == 0:
        raise MisspelledError(
            "CLN307", f"port {value!r} must be between 1 and {PORT_MAX} (the host's also 0)"
        )
    return PortMapping(
        host=host_port,
        container=container_port,
        protocol="udp" if (protocol or "").lower() == "udp" else "tcp",
        ip=address.strip("[]") if address else None,
        fixed=host_port != 0,
    )


def parse_volume_text(text: str) -> dict[str, Any]:
    """``"host:container[:ro|rw]"`` as the table it stands for."""
    match = _VOLUME.fullmatch(text)
    if match is None:
        raise MisspelledError("CLN303", f"{text!r} is not a volume; write `HOST:CONTAINER[:ro]`")
    return {"host_path": match[1], "container_path": match[2], "read_only": match[3] == "ro"}


def parse_image(text: str) -> str:
    """`text`, if it is ``[host[:port]/]path[:tag][@digest]``."""
    if not text.strip():
        raise MisspelledError("CLN305", "must not be blank")
    if _IMAGE.fullmatch(text) is None:
        raise MisspelledError("CLN416", f"`{text}` is not an image reference")
    return text


def parse_environment_line(text: str) -> tuple[str, str]:
    """``"K=V"`` as name and value."""
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise MisspelledError("CLN303", f"{text!r} is not an environment entry; write `NAME=value`")
    return name, value


def parse_memory_mb(value: str | int) -> int:
    """Mebibytes of ``"256m"``, ``"1g"``; a bare number is bytes, as engines read it."""
    match = _MEMORY.fullmatch(str(value).strip())
    if match is None:
        raise MisspelledError("CLN303", f"{value!r} is not an amount of memory; write `256m` or `1g`")
    return max(1, round(float(match[1]) * _MEMORY_MB[match[2].lower()]))


def parse_cpu_millicores(value: str | float) -> int:
    """Thousandths of a core of ``"0.5"``."""
    try:
        cores = float(value)
    except ValueError:
        raise MisspelledError("CLN303", f"{value!r} is not a number of cores; write `0.5`") from None
    if not 0 < cores < PORT_MAX:
        raise MisspelledError("CLN307", f"{value!r} cores are out of range")
    return max(1, round(cores * 1_000))


def parse_artifact(text: str) -> ArtifactSpec:
    """``spans:NAME``, ``logs:stdout|stderr|all`` or ``files:GLOB``."""
    kind, separator, value = text.partition(":")
    if kind not in ("spans", "logs", "files"):
        raise MisspelledError("CLN316", f"`{text}`: unknown artifact type `{kind}`")
    if not separator or not value.strip():
        raise MisspelledError("CLN316", f"`{text}`: `{kind}:` needs a value")
    if kind == "logs" and value not in ("stdout", "stderr", "all"):
        raise MisspelledError("CLN316", f"`{text}`: logs are `stdout`, `stderr` or `all`")
    return ArtifactSpec(kind=kind, value=value)  # type: ignore[arg-type]  # one of the three, checked above


# -------------------------------------------------------------------------------- names, times, tables


def check_glob(text: str) -> str:
    """`text`, if every ``[`` in it is closed (a ``]`` right after ``[`` or ``[!`` is literal)."""
    position = text.find("[")
    while position >= 0:
        first = position + 2 if text.startswith("!", position + 1) else position + 1
        end = text.find("]", first + 1)
        if end < 0:
            raise MisspelledError("CLN315", f"`[` is never closed in `{text}`")
        position = text.find("[", end + 1)
    return text


def parse_instant(value: str | datetime) -> str:
    """An RFC 3339 date-time, as text; TOML's own date-times are accepted if they have an offset."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise MisspelledError("CLN313", f"`{value.isoformat()}` is not RFC 3339: it has no offset")
        return value.isoformat().replace("+00:00", "Z")
    if _INSTANT.fullmatch(value) is None:
        raise MisspelledError("CLN313", f"`{value}` is not RFC 3339; write `2025-01-01T00:00:00Z`")
    try:
        datetime.fromisoformat(value.upper())
    except ValueError:
        raise MisspelledError("CLN313", f"`{value}` is not RFC 3339: there is no such time") from None
    return value


def flatten(
    table: dict[str, Any], path: KeyPath, stop: Iterable[str] = ()
) -> Iterator[tuple[str, Any, KeyPath]]:
    """The entries of `table` under dotted names: ``{http = {method = "GET"}}`` is ``http.method``.

    A table whose keys are all in `stop` (operators, limits) is a value and stays whole, as does an empty one.
    """
    words = frozenset(stop)
    waiting = [(iter(table.items()), "", path)]
    while waiting:
        entries, prefix, here = waiting[-1]
        entry = next(entries, None)
        if entry is None:
            waiting.pop()
            continue
        name, value = entry
        full = f"{prefix}{name}"
        if isinstance(value, dict) and value and not words.issuperset(value):
            waiting.append((iter(value.items()), f"{full}.", (*here, name)))
        else:
            yield full, value, (*here, name)
