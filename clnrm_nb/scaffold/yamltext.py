"""YAML as it was typed: every scalar but null is its text.

Compose files are full of values that YAML 1.1 reads as something else: ``22:22`` is a number in base 60,
``NO`` a boolean, ``1.10`` a float. Texts are what the file says, so nothing is resolved. Only safe
constructors are there; an unknown tag (``!reset``) gives its plain value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.errors import UsageError

if TYPE_CHECKING:
    import yaml  # type: ignore[import-untyped]  # PyYAML ships no annotations

__all__ = ["is_true", "read_yaml"]

_MOST_VALUES: Final = 100_000


def is_true(value: Any) -> bool:
    """Whether a text is one of YAML's words for true."""
    return str(value).lower() in {"true", "yes", "on", "y"}


def read_yaml(data: bytes) -> Any:
    """The first document of a YAML text.

    Raises
    ------
    UsageError
        It is no YAML, with line and column; or its aliases multiply without end.
    """
    import yaml

    try:
        document = yaml.load(data, Loader=_loader(yaml))  # noqa: S506  # A subclass of the safe loader.
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UsageError(f"{place}{error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"not YAML: {error}") from None
    if _is_too_large(document):
        raise UsageError(f"aliases make more than {_MOST_VALUES:,} values of it")
    return document


def _is_too_large(document: Any) -> bool:
    """Whether a document is out of all proportion once every alias is followed; a loop of aliases is."""
    seen, waiting = 0, [document]
    while waiting and seen <= _MOST_VALUES:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return seen > _MOST_VALUES


def _loader(module: Any) -> type[yaml.SafeLoader]:
    class TextLoader(module.SafeLoader):  # type: ignore[misc]  # The module is imported when it is needed.
        yaml_implicit_resolvers = {  # noqa: RUF012  # The name and shape PyYAML looks for.
            first: [entry for entry in entries if entry[0].endswith((":null", ":merge"))]
            for first, entries in module.SafeLoader.yaml_implicit_resolvers.items()
        }

    TextLoader.add_multi_constructor("!", _plain)
    return TextLoader


def _plain(loader: Any, suffix: str, node: Any) -> Any:
    del suffix
    if node.id == "mapping":
        return loader.construct_mapping(node, deep=True)
    if node.id == "sequence":
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)
