"""Values of the environment, sealed wherever a rendering has put them.

A scenario that says ``args = ["{{ env(name='API_URL') }}"]`` holds the value once it is rendered, and with it
every copy of what the scenario is made of. So a text in which such a value occurs, in whatever spelling, is
replaced whole by its seal: equal texts stay equal, and nobody reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clnrm_nb.secrets import Masker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

__all__ = ["Sealing"]


class Sealing:
    """Seals what holds one of some values.

    Parameters
    ----------
    values : iterable of str
        What nobody may read.
    seal : callable
        From a text to its seal (:meth:`~clnrm_nb.cache.LocalKey.seal`).
    fields : collection of str
        Keys that nobody has typed.

    Examples
    --------
    >>> Sealing(["hunter22"], lambda text: "sealed").of({"args": ["-p", "hunter22"], "port": 80})
    {'args': ['-p', 'sealed'], 'port': 80}
    """

    def __init__(
        self, values: Iterable[str], seal: Callable[[str], str], fields: Collection[str] = ()
    ) -> None:
        self._whole = frozenset(value for value in values if value)
        self._masker = Masker({*self._whole, *(value.casefold() for value in self._whole)})
        self._seal = seal
        self._fields = fields

    def of(self, value: Any) -> Any:
        """A copy of a value as JSON has it. Raises what `seal` raises."""
        return self._sealed(value) if self._whole else value

    def _sealed(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._named(key): self._sealed(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._sealed(each) for each in value]
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and str(value) in self._whole:
            return self._seal(f"number {value}")
        return value

    def _named(self, key: str) -> str:
        return key if key in self._fields else self._text(key)

    def _text(self, text: str) -> str:
        # Too short a value to be looked for inside others still stands for itself.
        is_hidden = text in self._whole or any(
            self._masker.text(form) != form for form in (text, text.casefold())
        )
        return self._seal(text) if is_hidden else text
