"""Servers that misbehave: each ends in one line, in bounded time and space, with nothing left behind."""

from __future__ import annotations

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.data import web
from engine.data.web import DownloadError, fetch_file

CONTENT = bytes(range(256)) * 100


class _Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        length = {"/good": str(len(CONTENT)), "/odd": "-5", "/word": "many", "/long": "9" * 400, "/huge": "10" * 7}
        self.send_response(200)
        if self.path in length:
            self.send_header("Content-Length", length[self.path])
        self.end_headers()
        try:
            if self.path == "/endless":
                while True:
                    self.wfile.write(bytes(65536))
            if self.path == "/drip":
                for _ in range(600):
                    self.wfile.write(b"x")
                    time.sleep(0.01)
            self.wfile.write(CONTENT)
        except OSError:
            pass  # the other side has seen enough

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(web, "SCHEMES", ("https", "http"))  # a server with a certificate is no small test
    monkeypatch.setattr(web, "_GRACE_S", 0.3)
    with http.server.ThreadingHTTPServer(("localhost", 0), _Server) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://localhost:{httpd.server_port}"
        httpd.shutdown()


def fetch(url: str, path: Path, sum_of: str = hashlib.sha256(CONTENT).hexdigest(), limit: int = 10**6) -> list[int]:
    seen: list[int] = []
    fetch_file(url, path, sum_of=sum_of, limit=limit, show=lambda done, _total: seen.append(done))
    return seen


@pytest.mark.parametrize("name", ["good", "odd", "word", "long", "plain"])
def test_a_file_comes_whole_whatever_the_server_says_of_its_length(server, tmp_path, name):
    assert fetch(f"{server}/{name}", tmp_path / "file")[-1] == len(CONTENT)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "message"), [("endless", "does not end"), ("drip", "too slow"), ("huge", "announces 10101010101010 bytes")]
)
def test_a_server_that_wastes_time_or_space_is_given_up(server, tmp_path, name, message):
    with pytest.raises(DownloadError, match=message):
        fetch(f"{server}/{name}", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_another_sum_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="sum"):
        fetch(f"{server}/good", tmp_path / "file", sum_of="00")
    assert list(tmp_path.iterdir()) == []
