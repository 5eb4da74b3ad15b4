"""Who may talk to the page: a browser of this machine that was given the address with its token.

Another page in the same browser can make it send requests here: it knows neither the token nor the
cookie, which browsers do not send along from other sites (SameSite), and its Origin is refused. A
name of its own that leads to this machine (DNS rebinding) is no Host that is answered.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing from outside, no script in what answers say. Figures carry their
widths as style attributes."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

REFUSED = (
    "perfmodel: this address is for the browser that was given its token: open the whole address "
    "that the command printed\n"
)


class Guard:
    """An ASGI application that lets the owner's requests through to another."""

    def __init__(self, inner: Any, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._inner = inner
        self._cookie = f"perfmodel-{port}"
        self._hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))

    def address(self) -> str:
        """What the owner's browser opens."""
        return f"http://{self._hosts[0]}/?token={self.token}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._inner(scope, receive, send)
            return  # no WebSocket is spoken here
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        if not self._is_from_here(headers):
            await _say(send, 403)
        elif self._has_token(scope):
            cookie = f"{self._cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            await _say(send, 303, (b"location", b"/"), (b"set-cookie", cookie.encode()))
        elif not self._has_cookie(headers):
            await _say(send, 403)
        else:
            await self._inner(scope, receive, _with_headers(send))

    def _is_from_here(self, headers: dict[str, str]) -> bool:
        origins = ("", *(f"http://{host}" for host in self._hosts))
        return headers.get("host", "") in self._hosts and headers.get("origin", "") in origins

    def _has_token(self, scope: Any) -> bool:
        if scope["path"] != "/" or scope["method"] != "GET":
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _has_cookie(self, headers: dict[str, str]) -> bool:
        try:
            sent = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return sent is not None and hmac.compare_digest(sent.value.encode(), self.token.encode())


def _with_headers(send: Any) -> Any:
    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = message | {"headers": [*message["headers"], *HEADERS]}
        await send(message)

    return sent


async def _say(send: Any, status: int, *headers: tuple[bytes, bytes]) -> None:
    """A response without a page; of a refusal the words that say what to do."""
    text = REFUSED.encode() if status == 403 else b""
    sent = [*headers, *HEADERS, (b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": text})
