"""Where the load goes: the address of an OpenAI-compatible server, as people paste it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from heuristics.errors import DiagnoseError

EXAMPLE = "diagnose sweep http://127.0.0.1:8000, or the server's PID"

_TAILS = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/v1", "/metrics")
"""What people leave at the end of an address."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server. ``prefix`` stands before ``/v1``, without a slash at its end."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @property
    def netloc(self) -> str:
        """Host and port as a header or a reader wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def base(self) -> str:
        """Up to where ``/v1`` begins."""
        return f"{self.scheme}://{self.netloc}{self.prefix}"

    def same_server(self, other: Address) -> bool:
        """Whether both name one server in the same way: two names of one host do not."""
        return (self.scheme, self.netloc) == (other.scheme, other.netloc)

    @property
    def loopback(self) -> bool:
        """Whether it surely is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def address_of(url: str) -> Address:
    """An address as typed; a path ending in ``/v1`` or one of its endpoints is cut.

    Raises:
        DiagnoseError: it is none, or it holds a password or a query.
    """
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise DiagnoseError(f"{url!r} is no address: {error}", hint=EXAMPLE) from error
    if parts.username is not None or parts.password is not None:
        raise DiagnoseError(
            "the address holds a user name or password, which is not sent", hint="--api-key-env NAME, and without it"
        )
    scheme = parts.scheme.lower()
    printable = all(33 <= ord(c) < 127 for c in url)
    if scheme not in PORTS or not parts.hostname or port == 0 or not printable:
        raise DiagnoseError(f"{url!r} is no http address", hint=EXAMPLE)
    if parts.query:
        raise DiagnoseError(
            "the address holds a query, which is not sent", hint="the address up to the ?; --api-key-env NAME for a key"
        )
    path = parts.path.rstrip("/")
    for tail in _TAILS:
        if path.endswith(tail):
            path = path.removesuffix(tail)
            break
    return Address(scheme=scheme, host=parts.hostname, port=port or PORTS[scheme], prefix=path.rstrip("/"))
