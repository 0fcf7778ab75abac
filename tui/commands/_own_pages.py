"""The web server behind ``medtui serve``: it talks to pages of its own only."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

from tui.commands.serve import LOCAL


class OwnPagesServer(Server):  # type: ignore[misc]  # textual-serve has no types
    """Refuses visits that some other web page makes in the name of whoever looks at it.

    A browser lets any page open a socket to localhost, and says in ``Origin`` whose page it is. A name
    that was made to point at this machine (DNS rebinding) shows in ``Host``.
    """

    async def handle_websocket(self, request: web.Request) -> web.StreamResponse:
        """The stream of one visitor's app."""
        origin = request.headers.get("Origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.host
        name = urlsplit(f"//{request.host}").hostname
        rebound = self.host in LOCAL and name not in LOCAL
        if foreign or rebound:
            raise web.HTTPForbidden(text="only pages of medtui itself")
        response: web.StreamResponse = await super().handle_websocket(request)
        return response
