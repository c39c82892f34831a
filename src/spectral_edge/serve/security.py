"""Who may read: the holder of the token, who came to this server by its own name."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_HEADERS = {
    # plotly writes style attributes; scripts come from this server only.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# Larger than any page asks for, smaller than what costs anything to parse.
_MOST_QUERY = 8192


class Guard:
    """Refuses a request that has another host's name, or no token; adds headers that keep pages to themselves.

    * A page of another site can make a browser resolve its own name to 127.0.0.1 (DNS rebinding). Its requests carry
      that name in ``Host``.
    * Other users of the machine reach the port, too. The token is in the first URL; the answer puts it into a cookie
      that scripts cannot read and other sites' pages do not send, and removes it from the address.

    Args:
        app: what is guarded.
        token: must be in the cookie, or in the query as ``token``.
        hosts: names by which this server may be asked for, without port.
        cookie: name of the cookie; cookies are shared between ports, so it says which.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str], cookie: str) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = self._refusal(scope)
            await (refusal or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This server is not known by that name.\n", status_code=421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Nothing here can be changed.\n", status_code=405)
        query = scope["query_string"]
        if len(query) > _MOST_QUERY:
            return PlainTextResponse(f"The query is longer than {_MOST_QUERY} bytes.\n", status_code=414)
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in pairs if name == "token"), None)
        if given is not None and self._fits(given):
            rest = "&".join(part for part in query.decode("latin-1").split("&") if not part.startswith("token="))
            answer = RedirectResponse("/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else ""), status_code=303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
            return answer
        if not self._fits(cookie_parser(headers.get("cookie", "")).get(self._cookie, "")):
            return PlainTextResponse(
                "This page needs the token that `spectral-edge serve` printed: open the address it printed.\n",
                status_code=403,
            )
        return None

    def _fits(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def _host(header: str) -> str:
    """Without port: ``127.0.0.1:8000`` -> ``127.0.0.1``, ``[::1]:8000`` -> ``::1``."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
