"""The webhook, against a web server on the loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from msgspec import structs

from engine.commands.resume import resume
from engine.commands.train import train
from engine.diagnosis import Finding
from engine.errors import RecipeError
from engine.events import Log
from engine.recipe import parse_recipe
from engine.requests import Resume
from engine.runfolder import RunFolder, stored_status
from engine.training.manifest import command_line
from engine.training.webhook import Webhook, keep_webhook, stored_webhook
from tests.engine.runs import SEGMENTATION, events, request, run


class Server(BaseHTTPRequestHandler):
    """Answers as its path says, and keeps what it was sent."""

    got: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/json"
        self.got.append((self.path, json.loads(body)))
        if "slow" in self.path:
            time.sleep(20)
        self.send_response(302 if "moved" in self.path else 500 if "broken" in self.path else 204)
        if "moved" in self.path:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Server.got.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def said(folder: RunFolder) -> list[str]:
    return [event.message for event in events(folder) if isinstance(event, Log) and "webhook" in event.message]


def test_a_run_tells_how_it_ended_and_keeps_its_address_to_itself(tmp_path, address):
    secret = f"{address}/hook/s3cr3t"
    code, folder = run(tmp_path, SEGMENTATION, "train.epochs=1", f'runtime.webhook="{secret}"')
    assert code == 0
    ((path, body),) = Server.got
    assert path == "/hook/s3cr3t"
    assert body == {
        "run": folder.id, "name": "tiny", "state": "finished", "message": "", "finding": None, "text": "tiny: finished",
    }  # fmt: skip
    holders = [file.name for file in folder.root.rglob("*") if file.is_file() and b"s3cr3t" in file.read_bytes()]
    assert holders == ["webhook"]
    assert folder.webhook.stat().st_mode & 0o077 == 0
    assert said(folder) == []
    assert "the end of this run and its errors are sent to 127.0.0.1" in str(events(folder))

    assert resume(Resume(run=folder.root, fork=True, overrides=("train.epochs=2", 'name="on"'))) == 0
    assert [body["text"] for _, body in Server.got] == ["tiny: finished", "on: finished"]


@pytest.mark.parametrize(
    ("path", "words"), [("broken", "it answered 500"), ("moved", "it answered 302"), ("slow", "did not answer")]
)
def test_what_goes_wrong_is_one_line_and_takes_seconds_at_most(tmp_path, address, path, words):
    lines: list[str] = []
    keep_webhook(RunFolder(tmp_path), f"{address}/{path}/s3cr3t")
    hook = Webhook(RunFolder(tmp_path), "tiny", lambda message, _level: lines.append(message))
    hook.announce()
    finding = Finding(code="diverging", severity="error", message="loss is not finite", since_epoch=3)
    begun = time.monotonic()
    hook.say("running", finding=finding)
    assert time.monotonic() - begun < 1
    hook.end()
    assert time.monotonic() - begun < 10
    assert lines[0] == "the end of this run and its errors are sent to 127.0.0.1"
    assert len(lines) == 2
    assert words in lines[1] or (path == "slow" and "TimeoutError" in lines[1])
    assert not any("s3cr3t" in line for line in lines)
    assert [path for path, _ in Server.got] == [f"/{path}/s3cr3t"]  # a redirect is not followed
    assert Server.got[0][1]["finding"]["code"] == "diverging"
    assert Server.got[0][1]["text"] == "tiny: loss is not finite"


def test_a_member_has_the_address_of_its_study_and_nobody_there_costs_nothing(tmp_path):
    asked = request(tmp_path, SEGMENTATION, "train.epochs=1")
    study = RunFolder(asked.runs / "20260101-000000-many.study")
    study.root.mkdir(parents=True)
    keep_webhook(study, "http://127.0.0.1:9/s3cr3t")
    folders: list[RunFolder] = []
    assert train(structs.replace(asked, study={"id": study.id, "member": "m"}), folders.append) == 0
    assert stored_status(folders[0]).state == "finished"
    assert said(folders[0]) == ["the webhook was not reached: ConnectionRefusedError"]


def test_the_command_of_the_manifest_hides_it(monkeypatch):
    monkeypatch.setenv("MEDTUI_COMMAND", json.dumps(["medtui", "run", "--set", "runtime.webhook=https://a/s3cr3t"]))
    assert command_line() == ["medtui", "run", "--set", "runtime.webhook=..."]


def test_a_file_that_names_no_web_address_is_none(tmp_path):
    for text in ("file:///etc/passwd", "http://", "\x00", ""):
        RunFolder(tmp_path).webhook.write_text(text)
        assert stored_webhook(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "https://", "http://a b/", "http://u:p@host/", 5])
def test_only_http_and_https_are_addresses(url):
    with pytest.raises(RecipeError, match=r"runtime\.webhook"):
        parse_recipe(SEGMENTATION + f"webhook = {json.dumps(url)}\n")
