"""Where in a template's text a variable is used: what a person looks for when one has changed.

Read off the markers alone, so that it works for files that are not rendered any more. Names that a macro, a
loop or a `set` defines for itself are other names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from clnrm_nb.template.compiler import compile_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clnrm_nb.template.lexer import Segment, Token

__all__ = ["environment_uses", "variable_uses"]

_SPACES: Final = frozenset({"vars", "matrix", "otel", "params"})
_READERS: Final = frozenset({"env", "get_env"})
_CLOSING: Final = {"endmacro": "macro", "endfor": "for"}


def variable_uses(source: str, name: str) -> list[tuple[int, int]]:
    r"""Places of a variable.

    Parameters
    ----------
    source : str
        The text of a template file.
    name : str
        As in :attr:`~clnrm_nb.template.Dependencies.variables`; members of namespaces as ``matrix.db``.

    Returns
    -------
    list of tuple of int
        1-based lines and columns, in order.

    Examples
    --------
    >>> variable_uses("a = '{{ svc }}'\nb = '{{ vars.svc | upper }} {{ other(svc=1) }}'", "svc")
    [(1, 9), (2, 9)]
    """
    space, _, member = name.rpartition(".") if name.partition(".")[0] in _SPACES else ("", "", name)
    unit = compile_unit(source)
    found: list[int] = []
    own: list[tuple[str, frozenset[str]]] = []
    for segment in unit.scan.segments:
        if segment.keyword in _CLOSING:
            while own and own.pop()[0] != _CLOSING[segment.keyword]:
                pass
            continue
        is_own = any(member in names for _, names in own)
        if space or not is_own:
            found += _in_marker(segment, space, member)
        if segment.keyword in ("macro", "for"):
            own.append((segment.keyword, _defined(segment)))
    return [unit.position(offset) for offset in found]


def environment_uses(source: str, name: str) -> list[tuple[int, int]]:
    """Places where an environment variable is read: ``env(name="…")``, ``get_env(…)``, ``env.NAME``."""
    unit = compile_unit(source)
    found = [offset for segment in unit.scan.segments for offset in _readings(segment.tokens, name)]
    return [unit.position(offset) for offset in found]


def _in_marker(segment: Segment, space: str, member: str) -> Iterator[int]:
    tokens = segment.tokens
    heads = _head_words(segment)
    for index, token in enumerate(tokens):
        if index < heads or not _stands_for_itself(tokens, index):
            continue
        is_bare = not space and token.value == member and not _is_named(tokens, index)
        if is_bare or (token.value == (space or "vars") and _member(tokens, index) == member):
            yield token.offset


def _head_words(segment: Segment) -> int:
    """Tokens at the beginning of a statement that name something new."""
    if segment.keyword == "macro":
        return len(segment.tokens)
    if segment.keyword == "for":
        return next((i for i, token in enumerate(segment.tokens) if token.value == "in"), 0)
    return 2 if segment.keyword in ("set", "set_global", "block") else min(1, len(segment.keyword))


def _stands_for_itself(tokens: Sequence[Token], index: int) -> bool:
    """A name, and no part of a path, filter, test, call or macro."""
    if tokens[index].kind != "name":
        return False
    before = tokens[index - 1].value if index else None
    after = tokens[index + 1].value if index + 1 < len(tokens) else None
    return before not in (".", "|", "::", "is") and after not in ("(", "::")


def _is_named(tokens: Sequence[Token], index: int) -> bool:
    """The name of an argument: ``f(svc=1)``."""
    return index + 1 < len(tokens) and tokens[index + 1].value == "="


def _member(tokens: Sequence[Token], index: int) -> str | None:
    """What stands behind ``.`` or in ``[ ]``."""
    if index + 2 < len(tokens) and tokens[index + 1].value in (".", "["):
        return str(tokens[index + 2].value)
    return None


def _defined(segment: Segment) -> frozenset[str]:
    words = segment.tokens[1:]
    if segment.keyword == "for":
        words = segment.tokens[1 : _head_words(segment)]
    return frozenset(str(token.value) for token in words if token.kind == "name")


def _readings(tokens: Sequence[Token], name: str) -> Iterator[int]:
    for index, token in enumerate(tokens):
        if token.kind != "name" or token.value not in _READERS:
            continue
        rest = tokens[index + 1 : index + 5]
        is_call = bool(rest) and rest[0].value == "("
        if (is_call and any(one.value == name and one.kind == "string" for one in rest)) or (
            token.value == "env" and _member(tokens, index) == name
        ):
            yield token.offset
