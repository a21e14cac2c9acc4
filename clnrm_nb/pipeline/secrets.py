"""The secrets of the tests at hand: what ``[secrets]`` names, and what templates are given from outside.

An environment variable that a template reads, or a variable given to it, is a secret if its name promises
one, whether or not the file says so. What stands in the file itself (``password = "root"``) is no secret.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from clnrm_nb.executor.masking import mask_error
from clnrm_nb.secrets import Masker, names_a_secret
from clnrm_nb.secrets.logs import masked_logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from clnrm_nb.pipeline.load import LoadedTest
    from clnrm_nb.template import Rendered

_FROM_OUTSIDE: Final = ("argument", "parameter")

__all__ = ["hiding", "masker_of", "masker_of_rendered"]


def masker_of(tests: Iterable[LoadedTest], environ: Mapping[str, str], known: Iterable[str] = ()) -> Masker:
    """What hides the secrets of some tests, valid or not.

    Parameters
    ----------
    environ : mapping
        Where ``[secrets]`` are read from.
    known : iterable of str
        Values that are known to be secrets anyway.
    """
    values = set(known)
    for test in tests:
        if test.checked is not None:
            values |= _read(test.checked.rendered)
        if test.test is not None:
            values |= {environ[name] for name in test.test.secrets.env if name in environ}
    return Masker(values)


def masker_of_rendered(rendered: Rendered) -> Masker:
    """What hides the secrets that a template was given."""
    return Masker(_read(rendered))


def _read(rendered: Rendered) -> set[str]:
    given = {v.name: v.value for v in rendered.variables if v.origin in _FROM_OUTSIDE}
    given.update(rendered.dependencies.environment)
    return {value for name, value in given.items() if isinstance(value, str) and names_a_secret(name)}


@contextmanager
def hiding(masker: Masker) -> Iterator[None]:
    """Whatever is logged and raised inside says nothing secret."""
    try:
        with masked_logs(masker):
            yield
    except Exception as error:
        mask_error(error, masker)
        raise
