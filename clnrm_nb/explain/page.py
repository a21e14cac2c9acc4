"""The pages, read from their files.

A page begins with what the code means; its headings are always *Why*, *Repair*, *Wrong* and *Right*. Each
example is fenced blocks: files, whose name stands behind the language (``example.clnrm.toml`` where none is
given), and the commands that are run with them (``console``, lines beginning ``$``). ``# <-`` ends the line
the finding is at. What an example does not show, ``[meta]`` and something to run, is as in any file.

A page may begin with a few ``key: value`` lines between two ``---``: ``runs: no, REASON`` for an example that
the tests cannot carry out, ``whole: yes`` for files that are complete as they stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final

from clnrm_nb.codes import CODES
from clnrm_nb.config.nearest import did_you_mean
from clnrm_nb.errors import UsageError

__all__ = ["Block", "Example", "Page", "page", "resolve", "summary"]

USUAL_NAME: Final = "example.clnrm.toml"
_HEADINGS: Final = ("Why", "Repair", "Wrong", "Right")
_FENCE: Final = re.compile(r"^```(\S+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WHOLE: Final = re.compile(r"(CLN)?\d{3}")
_FIRST_LINES: Final = re.compile(r"\A---\n(.*?)^---\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of an example.

    Parameters
    ----------
    language : str
        ``toml``, ``json``, ``text`` or ``console``.
    name : str
        The file it is; empty for ``console``.
    text : str
        Its content, ending in a line break.
    """

    language: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """Files, and the commands that are run where they lie."""

    blocks: tuple[Block, ...]

    @property
    def files(self) -> dict[str, str]:
        """Name → text."""
        return {block.name: block.text for block in self.blocks if block.name}

    @property
    def commands(self) -> tuple[str, ...]:
        """The command lines, without their prompt."""
        lines = (line for block in self.blocks if not block.name for line in block.text.splitlines())
        return tuple(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


@dataclass(frozen=True, slots=True)
class Page:
    """The page of one code.

    Parameters
    ----------
    code : str
    meaning, why, repair : str
        Paragraphs, parted by empty lines; code in backticks.
    wrong, right : Example
        What gives the code, and what does not.
    notes : dict
        The lines before the text.
    """

    code: str
    meaning: str
    why: str
    repair: str
    wrong: Example
    right: Example
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """When the code is reported, in a few words."""
        return CODES[self.code].condition

    @property
    def severity(self) -> str:
        """Its severity."""
        return CODES[self.code].severity


@cache
def page(code: str) -> Page:
    """The page of a code.

    Parameters
    ----------
    code : str
        A code of :data:`clnrm_nb.codes.CODES`, as it is written there; see :func:`resolve`.

    Raises
    ------
    KeyError
        There is no such code.

    Examples
    --------
    >>> page("CLN301").title
    'unknown key'
    """
    if code not in CODES:
        raise KeyError(code)
    text = files("clnrm_nb.explain").joinpath("pages", f"{code}.md").read_text(encoding="utf-8")
    notes: dict[str, str] = {}
    if first := _FIRST_LINES.match(text):
        lines = (line.partition(":") for line in first[1].splitlines())
        notes = {key: value.strip() for key, _, value in lines}
        text = text[first.end() :]
    meaning, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    parts = {heading: body.strip() for heading, _, body in (part.partition("\n") for part in sections)}
    if tuple(parts) != _HEADINGS:
        raise ValueError(f"{code}.md has the headings {', '.join(parts)}; wanted: {', '.join(_HEADINGS)}")
    return Page(
        code,
        _prose(meaning),
        _prose(parts["Why"]),
        _prose(parts["Repair"]),
        _example(parts["Wrong"]),
        _example(parts["Right"]),
        notes,
    )


def _prose(text: str) -> str:
    """Paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _example(text: str) -> Example:
    blocks = []
    for language, name, content in _FENCE.findall(text):
        is_file = language != "console"
        blocks.append(Block(language, (name or USUAL_NAME) if is_file else "", content))
    return Example(tuple(blocks))


def resolve(word: str) -> str:
    """The code a person means: ``CLN301``, ``cln301`` and ``301`` are one.

    Raises
    ------
    UsageError
        There is no such code; the nearest one is named, unless a whole number was given.

    Examples
    --------
    >>> resolve("301")
    'CLN301'
    """
    code = word.strip().upper()
    code = f"CLN{code}" if code.isdecimal() else code
    if code in CODES:
        return code
    # A whole number is no slip of the finger, and codes with like numbers have nothing in common.
    guess = "" if _WHOLE.fullmatch(code) else did_you_mean(code, CODES)
    raise UsageError(
        f"no code {word!r}{guess}", hint="Codes are CLN001 to CLN901; the documentation lists them."
    )


def summary(code: str) -> str:
    """The first paragraph of a code's page, for a hint beside a finding.

    Raises
    ------
    KeyError
        There is no such code.
    """
    return page(code).meaning.partition("\n\n")[0]
