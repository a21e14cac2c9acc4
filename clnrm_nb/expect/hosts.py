"""Which hosts spans talk of, and which of them belong to the test (``format.md`` 7.8).

A host is read out of what instrumentation writes: bare names, ``host:port``, URLs, connection strings.
Relative URLs and socket files name no host.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import translate
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

__all__ = ["HOST_ATTRIBUTES", "Inside", "hosts_in"]

HOST_ATTRIBUTES: Final = (
    "server.address",
    "network.peer.address",
    "url.full",
    "net.peer.name",
    "net.peer.ip",
    "net.sock.peer.addr",
    "peer.service",
    "http.host",
    "http.url",
    "db.connection_string",
    "messaging.url",
)

_URL: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)*//(?P<authority>[^/?#\s;]*)", re.IGNORECASE)
_KEYWORD: Final = re.compile(
    r"(?:^|[;\s])(?:server|host|hostaddr|data source|address|addr|network address)\s*=\s*(?P<hosts>[^;\s]+)",
    re.IGNORECASE,
)
_PORT: Final = re.compile(r"(?:\A(?P<v6>\[[^]]*\])|\A(?P<name>[^:]*))(?::\d*)?\Z")


def hosts_in(value: Any) -> Iterator[str]:
    """Host names and addresses in one attribute value, lower case, without ports and credentials."""
    for item in value if isinstance(value, list | tuple) else (value,):
        if isinstance(item, str):
            for part in _authorities(item.strip()):
                host = _without_port(part)
                # Digits alone are the port of a `Server=tcp:name,1433`.
                if host and not host.isdigit():
                    yield host.lower().rstrip(".")


def _authorities(text: str) -> Iterable[str]:
    if match := _URL.search(text):
        return match["authority"].rpartition("@")[2].split(",")
    if match := _KEYWORD.search(text):
        return match["hosts"].removeprefix("tcp:").split(",")
    # Neither a path, nor a socket file, nor a sentence is a host.
    return () if re.search(r"[/\\\s=]", text) else (text,)


def _without_port(text: str) -> str:
    text = text.strip()
    if text.count(":") > 1 and not text.startswith("["):
        return text.partition("%")[0]
    match = _PORT.match(text)
    found = (match["v6"] or match["name"]) if match else text
    return found.strip("[]").partition("%")[0]


class Inside:
    """Decides whether a host belongs to the test.

    Parameters
    ----------
    names : iterable of str
        Service names of the file.
    allowed : iterable of str
        ``allow_hosts``: globs.
    addresses : sequence of str
        Names, addresses and CIDR networks that are the test's own: its networks, the receiver. Where no
        network is known, private addresses count as inside: nobody can tell them from the test's containers.
    """

    def __init__(self, names: Iterable[str], allowed: Iterable[str], addresses: Sequence[str]) -> None:
        self._names = {name.lower() for name in names}
        self._globs = [re.compile(translate(glob.lower())).match for glob in allowed]
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in addresses:
            try:
                self._networks.append(ip_network(text, strict=False))
            except ValueError:
                self._names.add(text.lower())
        self._known: dict[str, bool] = {}

    def __contains__(self, host: str) -> bool:
        if host not in self._known:
            self._known[host] = self._decide(host)
        return self._known[host]

    def _decide(self, host: str) -> bool:
        if host in self._names or any(matches(host) for matches in self._globs):
            return True
        if host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            address: IPv4Address | IPv6Address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_loopback or address.is_unspecified:
            return True
        if any(address in network for network in self._networks):
            return True
        is_known = any(network.num_addresses > 1 for network in self._networks)
        return address.is_private and not is_known

    def outside(self, attributes: Mapping[str, Any]) -> tuple[str, str] | None:
        """The first (attribute, host) of a span that is not inside."""
        for key in HOST_ATTRIBUTES:
            if key in attributes:
                for host in hosts_in(attributes[key]):
                    if host not in self:
                        return key, host
        return None
