"""Whether two texts say the same: the check behind everything the formatter hands out.

Independent of how the layout came about, both texts are read again and everything in them is compared that is
not white space between tokens: statements and comments in their order, strings and markers character by
character. Only commas before a closing bracket may differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clnrm_nb.formatter.lexer import DEPTH

if TYPE_CHECKING:
    from clnrm_nb.formatter.lexer import Lexed
    from clnrm_nb.template.lexer import Scan

__all__ = ["says_the_same", "scans_alike"]


def scans_alike(before: Scan, after: Scan) -> bool:
    """Whether two templates hold the same markers in the same text, spaces inside markers aside."""
    return _shape(before) == _shape(after)


def _shape(scan: Scan) -> list[object]:
    return [
        scan.source[segment.start : segment.end]
        if segment.kind == "text"
        else (
            segment.kind,
            [token[:2] for token in segment.tokens],
            segment.strips_left,
            segment.strips_right,
        )
        for segment in scan.segments
    ]


def says_the_same(before: Lexed, after: Lexed) -> bool:
    """Whether two texts with equal markers are equal but for white space between their tokens."""
    return _meaning(before) == _meaning(after)


def _meaning(lexed: Lexed) -> list[str]:
    words: list[str] = []
    depth = end = 0
    is_apart = is_atom = False
    for token in lexed.tokens:
        end = token.start + len(token.text)
        if token.kind == "white":
            is_apart = True
            continue
        if token.kind == "break":
            depth = max(depth, 0)
            is_apart = depth > 0
            if not is_apart and words and words[-1] != "\n":
                words.append("\n")
                is_atom = False
            continue
        if token.kind == "sign":
            depth += DEPTH.get(token.text, 0)
            _add_sign(words, token.text)
        elif token.kind == "comment":
            words.append(token.text.rstrip())
        elif is_atom:
            words[-1] = _joined(words[-1], token.text, is_apart=is_apart)
        else:
            words.append(token.text)
        is_atom = token.kind not in ("sign", "comment")
        is_apart = False
    words.append(lexed.text[end:].rstrip("\n"))
    while words and words[-1] in ("", "\n"):
        words.pop()
    return words


def _joined(before: str, text: str, *, is_apart: bool) -> str:
    """Two atoms as one word; a space between them counts, but not around the dots of a key."""
    has_dot = before.endswith(".") or text.startswith(".")
    return f"{before} {text}" if is_apart and not has_dot else before + text


def _add_sign(words: list[str], sign: str) -> None:
    """Add a sign; commas go before comments, and are dropped before a closing bracket."""
    last = len(words)
    while last and words[last - 1].startswith("#"):
        last -= 1
    if sign == ",":
        words.insert(last, ",")
        return
    if sign in "]}" and last and words[last - 1] == ",":
        del words[last - 1]
    words.append(sign)
