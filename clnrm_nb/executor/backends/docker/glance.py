"""What an engine says at a glance, without its SDK: whether it answers, and which images it has.

A run in which nothing is started needs no more, and the SDK takes longer to load than such a run lasts.
"""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from clnrm_nb.errors import BackendUnavailableError
from clnrm_nb.executor.backends.docker.address import Address, candidates
from clnrm_nb.executor.backends.docker.labels import OWNER
from clnrm_nb.reaper.engine import EngineFact, can_reach, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["UnaskableError", "answers", "image_ids"]

_TIMEOUT_S: Final = 3.0


class UnaskableError(Exception):
    """There is an engine, but only its SDK can speak to it (``ssh://``), or what it says is no answer."""


def answers(setting: str, environ: Mapping[str, str] | None = None) -> bool:
    """Whether any engine answers that could be meant; see :func:`~.address.candidates`.

    Raises
    ------
    UnaskableError
        That cannot be told from here.
    """
    return image_ids((), setting, environ) is not None


def image_ids(
    names: Iterable[str], setting: str, environ: Mapping[str, str] | None = None
) -> dict[str, str | None] | None:
    """Content addresses of images by name, ``None`` for those that are not there.

    Parameters
    ----------
    setting : str
        ``executor.docker_host``.

    Returns
    -------
    dict or None
        ``None``: no engine answers.

    Raises
    ------
    UnaskableError
        There may be an engine, but it does not tell.
    """
    try:
        addresses = candidates(setting, environ)
    except BackendUnavailableError:
        return None
    for address in addresses:
        try:
            return _asked(address, names)
        except (OSError, http.client.HTTPException):
            continue
    return None


def _asked(address: Address, names: Iterable[str]) -> dict[str, str | None]:
    connection = open_connection(_fact(address), timeout_s=_TIMEOUT_S)
    try:
        connection.request("GET", "/_ping")
        connection.getresponse().read()
        return {name: _image_id(connection, name) for name in names}
    finally:
        connection.close()


def _image_id(connection: http.client.HTTPConnection, name: str) -> str | None:
    connection.request("GET", f"/images/{quote(name, safe='/:@')}/json")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status == http.client.NOT_FOUND:
        return None
    if answer.status != http.client.OK:
        raise UnaskableError(f"the engine answers {answer.status}")
    try:
        return str(json.loads(body)["Id"])
    except (ValueError, KeyError, TypeError):
        raise UnaskableError("the engine does not say what image that is") from None


def _fact(address: Address) -> EngineFact:
    """The address as the reaper's client takes it; the SDK's own reading of it only where TLS asks for it."""
    if address.tls is None and can_reach(address.url):
        return EngineFact(url=address.url, ca=None, cert=None, key=None, verify=False, label=OWNER, owner="")
    fact = address.fact("")
    if fact is None:
        raise UnaskableError(f"`{address.url}` cannot be asked without starting its client")
    return fact["engine"]
