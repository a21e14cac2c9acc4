"""Which schedulers may be talked to: those on loopback, and those that encrypt.

A scheduler without TLS takes code from anybody who reaches its port, and everything on the way to it, secrets
of tests included, can be read. So the address that was given, the one the scheduler listens on and those of
its workers must all be on this machine, or all be encrypted.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from clnrm_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["checked", "is_encrypted", "refuse_open"]

_KEY: Final = "executor.dask.address"
_ENCRYPTED: Final = frozenset({"tls", "wss"})
_SCHEMES: Final = frozenset({"tcp", "ws", *_ENCRYPTED})
_HINT: Final = (
    "Start scheduler and workers with TLS and give its tls:// address, or start them on 127.0.0.1 "
    "(`dask scheduler --host tcp://127.0.0.1`)."
)


def checked(address: str) -> str:
    """The address as Dask takes it, scheme included.

    Raises
    ------
    ConfigError
        CLN802: there is none, it is none, or it is open to others than this machine.
    """
    if not address:
        raise ConfigError(
            "the dask backend needs the address of a scheduler",
            "CLN802",
            hint=f"Give it by `--scheduler URL` or `{_KEY}`, such as tcp://127.0.0.1:8786.",
        )
    whole = address if "://" in address else f"tcp://{address}"
    parts = urlsplit(whole)
    if parts.scheme not in _SCHEMES or not parts.hostname or _port(whole) is None:
        raise ConfigError(
            f"`{_KEY}` {address!r} is no address of a scheduler", "CLN802", hint="Such as tls://HOST:8786."
        )
    refuse_open([whole], "the scheduler")
    return whole


def refuse_open(addresses: Iterable[str], who: str) -> None:
    """Refuse what is neither encrypted nor on loopback.

    Parameters
    ----------
    addresses : iterable of str
        With scheme.
    who : str
        Whose they are, for the message.

    Raises
    ------
    ConfigError
        CLN802, with the first such address.
    """
    for address in addresses:
        if not is_encrypted(address) and not _is_loopback(urlsplit(address).hostname or ""):
            raise ConfigError(
                f"{who} at {address} is not on loopback and not encrypted: anybody who reaches it could run "
                "code on its workers and read what tests are given",
                "CLN802",
                hint=_HINT,
            )


def is_encrypted(address: str) -> bool:
    """Whether what goes to this address is encrypted."""
    return urlsplit(address).scheme in _ENCRYPTED


def _port(address: str) -> int | None:
    try:
        return urlsplit(address).port
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    # A name other than this one may lead somewhere else tomorrow.
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
