"""``medtui serve``: only who knows its token sees the runs, and nothing of it outlives it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiohttp import ClientSession, CookieJar

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-P", "-m", "tui.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--runs", str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split(" ")[0], process
        process.kill()


async def status(url: str, **cookies: str) -> int:
    async with ClientSession(cookies=cookies) as client:
        for _ in range(200):
            try:
                async with client.get(url) as answer:
                    return answer.status
            except OSError:
                await asyncio.sleep(0.05)
    raise AssertionError(f"{url} did not answer")


async def test_nothing_is_served_without_the_token(served):
    address, _ = served
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", address)
    base = address.partition("/?")[0]
    assert await status(address) == 200
    for path in ("/", "/ws", "/?token=wrong", "/?token=", "/download/x", "/static/", "/?token=%C3%A9"):
        assert await status(base + path) == 403, path
    assert await status(base + "/", **{f"medtui-{base.rpartition(':')[2]}": address.rpartition("=")[2]}) == 200


async def test_the_page_loads_nothing_from_elsewhere(served):
    address, _ = served
    assert await status(address) == 200
    own = address.partition("/?")[0]
    jar = CookieJar(unsafe=True)  # keeps what a bare address sends
    async with (
        ClientSession(cookie_jar=jar) as client,
        client.get(address, headers={"Host": "localhost:9000"}) as answer,
    ):
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        assert set(re.findall(r"\b(?:https?|wss?)://[^\"\s/]+", page)) == {"ws://localhost:9000", "http://www.w3.org"}
        assert "http:" not in policy
        assert "https:" not in policy
        paths = set(re.findall(r'"(/static/[^"]+)"', page))
        assert {"/static/css/xterm.css", "/static/js/textual.js"} < paths
        for path in paths:
            assert (await client.get(own + path)).status == 200, path


async def test_a_visitor_gets_an_app_that_ends_with_the_server(served):
    address, process = served
    assert await status(address) == 200
    async with ClientSession() as client:
        await (await client.get(address)).read()
        async with client.ws_connect(address.replace("http", "ws").replace("/?", "/ws?")) as page:
            await page.receive(timeout=30)
            children = psutil.Process(process.pid).children(recursive=True)
            assert children
            process.send_signal(signal.SIGKILL)
            deadline = time.monotonic() + 20
            while any(child.is_running() and child.status() != "zombie" for child in children):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)


def test_an_app_whose_page_has_gone_leaves_no_fault(tmp_path, own_settings):
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}
    command = [sys.executable, "-P", "-m", "tui.commands.serve", str(tmp_path)]
    subprocess.run(command, input=b"", stdout=writer, cwd=tmp_path, env=environment, timeout=60)
    os.close(writer)
    assert not list(own_settings.glob("medtui/faults/*"))
