"""No secret in a notebook that is kept: papermill writes parameters in clear, cells print what they like.

A parameter or environment variable is secret by its name. Its value is masked wherever it stands, in clear or
encoded; values of less than four characters only where papermill puts them, or every ``1`` would be gone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from clnrm_nb.report.text import json_ready
from clnrm_nb.secrets import MASK, Masker

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["is_secret", "masked_notebook", "masker_of"]

_WORDS: Final = frozenset({"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "CREDENTIALS", "APIKEY"})
_BOUNDARY: Final = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")


def is_secret(name: str) -> bool:
    """Whether a name says that its value is nobody's business.

    Examples
    --------
    >>> [is_secret(name) for name in ("db_password", "apiKey", "GITHUB_TOKEN", "token_ttl", "backend")]
    [True, True, True, False, False]
    """
    words = [word.upper() for word in _BOUNDARY.split(name) if word]
    if not words:
        return False
    is_key = words[-1] == "KEY" and len(words) > 1 and words[-2] in {"API", "PRIVATE", "ACCESS", "SECRET"}
    return bool(_WORDS.intersection(words)) or words[-1] == "TOKEN" or is_key


def masker_of(parameters: Mapping[str, Any], environ: Mapping[str, str]) -> Masker:
    """What hides the secret parameters and environment variables of a run of notebooks."""
    named = {**environ, **{name: str(value) for name, value in parameters.items()}}
    return Masker([value for name, value in named.items() if is_secret(name)])


def masked_notebook(raw: dict[str, Any], parameters: Mapping[str, Any], masker: Masker) -> dict[str, Any]:
    """A notebook's JSON without secrets."""
    notebook: dict[str, Any] = json_ready(raw, masker.text)
    secret = [name for name in parameters if is_secret(name)]
    given = notebook.get("metadata", {}).get("papermill", {}).get("parameters", {})
    for name in secret:
        if name in given:
            given[name] = MASK
    for cell in notebook.get("cells", ()):
        if "injected-parameters" in cell.get("metadata", {}).get("tags", ()):
            cell["source"] = _without(cell["source"], secret)
    return notebook


def _without(source: str | list[str], names: list[str]) -> str:
    text = source if isinstance(source, str) else "".join(source)
    for name in names:
        text = re.sub(rf"(?m)^{re.escape(name)} = .*$", f'{name} = "{MASK}"', text)
    return text
