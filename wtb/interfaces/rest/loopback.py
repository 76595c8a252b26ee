"""Nobody logs in yet, so only this machine's own programs are served.

Listening on loopback keeps other machines out, but not web pages that a browser
on this machine shows: they can reach loopback addresses too, by a name that
resolves to one, or by asking across origins. The headers that browsers don't
let a page forge tell them apart.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.exceptions import PermissionDeniedException
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send


class LoopbackOnly(ASGIMiddleware):
    """Refuses requests to another host than loopback, and from pages that come from another."""

    scopes = (ScopeType.HTTP, ScopeType.WEBSOCKET)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        headers = Headers.from_scope(scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_loopback(urlsplit(f"//{host}").hostname):
            raise PermissionDeniedException(f"this server doesn't go by the name {host!r}")
        if origin is not None and not is_loopback(urlsplit(origin).hostname):
            raise PermissionDeniedException(f"pages from {origin} may not ask this server")
        await next_app(scope, receive, send)


def is_loopback(host: str | None) -> bool:
    """Whether a name or address can only be this machine."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
