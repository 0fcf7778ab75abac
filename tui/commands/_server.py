"""The web server behind ``medtui serve``: it answers whoever knows its token, from pages of its own only."""

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})  # names of this machine that nobody else can answer to
_FONT = """<style>@font-face { font-family: "Roboto Mono"; font-weight: 100 700;
      src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf"); }</style>"""
_POLICY = "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self' ws://{host} wss://{host}"
VISITORS = 16  # pages that are open at the same time: each is a process of its own


class PrivateServer(Server):  # type: ignore[misc]  # textual-serve has no types
    """Serves the dashboard to browsers that bring the token, in the address or, after that, in a cookie.

    Any user of a machine can reach its ports, and run folders are private to their owner. A browser lets
    any page open a socket to localhost, and says in ``Origin`` whose page it is; a name that was made to
    point at this machine (DNS rebinding) shows in ``Host``."""

    def __init__(self, command: str, host: str, port: int) -> None:
        super().__init__(command, host=host, port=port, title="medtui")
        self.token = secrets.token_urlsafe(24)  # what a visitor must know
        self._cookie = f"medtui-{port}"
        self._visitors = 0

    @property
    def address(self) -> str:
        return f"{self.public_url}/?token={self.token}"

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the command has said what there is to say."""

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.query.get("token") or request.cookies.get(self._cookie, "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise web.HTTPForbidden(text="open the whole address that medtui serve printed, with its token")
        response = await handler(request)
        if not response.prepared:
            response.set_cookie(self._cookie, self.token, httponly=True, samesite="Strict")
            response.headers["Referrer-Policy"] = "no-referrer"
            response.headers["Content-Security-Policy"] = _POLICY.format(host=request.host)
        return response

    async def handle_index(self, request: web.Request) -> web.Response:
        """The page, which loads nothing from elsewhere: a hospital's network may end at its walls.

        textual-serve takes the font from another site, and all else from the address that the server was given,
        which another end of a tunnel does not know."""
        page: web.Response = await super().handle_index(request)
        text = (page.text or "").replace(f"{self.public_url}/", "/")
        text = text.replace(f"ws://{urlsplit(self.public_url).netloc}/", f"ws://{escape(request.host)}/")
        page.text = re.sub(r'<link\s[^>]*"https?://[^>]*>', _FONT, text)
        return page

    async def handle_websocket(self, request: web.Request) -> web.StreamResponse:
        """The stream of one visitor's app."""
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.host
        name = urlsplit(f"//{request.host}").hostname
        rebound = self.host in LOCAL and name not in LOCAL
        if foreign or rebound:
            raise web.HTTPForbidden(text="only pages of medtui itself")
        if self._visitors >= VISITORS:
            raise web.HTTPServiceUnavailable(text=f"{VISITORS} pages are open already: close one")
        self._visitors += 1
        try:
            response: web.StreamResponse = await super().handle_websocket(request)
        finally:
            self._visitors -= 1
        return response
