"""Text in, formatted text out: the one way through the formatter, proof included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clnrm_nb.formatter.layout import laid_out
from clnrm_nb.formatter.lexer import lex
from clnrm_nb.formatter.markers import Marker, is_extending, markers_of, spaced
from clnrm_nb.formatter.proof import says_the_same, scans_alike
from clnrm_nb.formatter.statements import lines_of
from clnrm_nb.template.lexer import scan

__all__ = ["Formatted", "format_source", "format_text", "is_formatted"]

_PRAGMA: Final = "# clnrm: no-template"
_LONGEST_QUOTE: Final = 40


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text in its layout.

    Parameters
    ----------
    text : str
        With the line breaks the source has.
    note : str
        What was left as it was, and why; empty where all is formatted.
    """

    text: str
    note: str = ""


def format_text(text: str, *, templated: bool, library: bool = False) -> str:
    r"""Format a scenario file.

    Parameters
    ----------
    text : str
        The file as a person edits it, not rendered. Line breaks stay what they are.
    templated : bool
        Whether ``{{``, ``{%`` and ``{#`` are markers in it.
    library : bool
        Whether it is a template library. Others may put its text inside a string, so only the markers
        themselves are formatted.

    Returns
    -------
    str
        Data, comments and template statements are those of `text`; formatting it again changes nothing.

    Examples
    --------
    >>> format_text('[meta]\nname="{{x}}"   # of the test\n[vars]', templated=True)
    '[meta]\nname = "{{ x }}"  # of the test\n\n[vars]\n'
    """
    return format_source(text, templated=templated, library=library).text


def is_formatted(text: str, *, templated: bool, library: bool = False) -> bool:
    """Whether :func:`format_text` would leave `text` as it is."""
    return format_text(text, templated=templated, library=library) == text


def format_source(text: str, *, templated: bool, library: bool = False) -> Formatted:
    """As :func:`format_text`, with a note on what was left as it was."""
    if 0 < text.count("\n") == text.count("\r\n"):
        formatted = format_source(text.replace("\r\n", "\n"), templated=templated, library=library)
        return Formatted(formatted.text.replace("\n", "\r\n"), formatted.note)
    return _template(text, library=library) if templated else _laid_out(text, [])


def _template(text: str, *, library: bool) -> Formatted:
    source = scan(text)
    respaced = spaced(source)
    rescanned = scan(respaced)
    if any(segment.problem for segment in source.segments) or not scans_alike(source, rescanned):
        return Formatted(text, "left as it is: a template marker in it cannot be read")
    if library or is_extending(source):
        return Formatted(respaced)
    formatted = _laid_out(respaced, markers_of(rescanned))
    if formatted.text.startswith(_PRAGMA) != text.startswith(_PRAGMA):
        # White space before it is what keeps this comment from switching the template off.
        return Formatted(respaced, f"left as it is: `{_PRAGMA}` would become its first line")
    return formatted


def _laid_out(text: str, markers: list[Marker]) -> Formatted:
    lexed = lex(text, markers)
    lines, done = lines_of(lexed)
    texts = laid_out(lines)
    rest = text[done:]
    if not rest:
        while texts and not texts[-1]:
            texts.pop()
    after = "".join(f"{line}\n" for line in texts) + rest
    if after == text:
        return Formatted(text, _note(text, done))
    if not says_the_same(lexed, lex(after, markers_of(scan(after)) if markers else [])):
        return Formatted(text, "left as it is: formatting it could have changed what it says")
    return Formatted(after, _note(after, len(after) - len(rest)))


def _note(text: str, done: int) -> str:
    if done >= len(text):
        return ""
    number = text.count("\n", 0, done) + 1
    line = text[done:].lstrip().partition("\n")[0][:_LONGEST_QUOTE]
    why = "what is TOML there cannot be told without its values"
    return f"left as it is from line {number} (`{line}`) on: {why}"
