"""One file from the web: bounded in bytes and in time, checked against its sum, there whole or not at all."""

import hashlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

SCHEMES = ("https", "file")
TIMEOUT_S = 60.0  # without a byte for so long, the connection counts as lost
SLOWEST = 10_000  # bytes a second, over the whole transfer after its first minute: a peer that drips is given up
_BLOCK = 1 << 20
_GRACE_S = 60.0


class DownloadError(Exception):
    """A file did not come, and why: one line."""


def fetch_file(
    url: str, path: Path, *, sum_of: str, limit: int, algorithm: str = "sha256", show: Callable[[int, int], None]
) -> None:
    """Write what stands at ``url`` to ``path``, which appears whole or not at all.

    Args:
        url: https, or a file; redirects may only lead to https.
        path: its folder exists.
        sum_of: the sum in hexadecimal figures, or how it begins.
        limit: bytes that are taken at the most.
        algorithm: of the sum, as `hashlib` names it.
        show: progress in bytes: done, and all or 0 where that is unknown.

    Raises:
        DownloadError: the network, the server or the sum is at fault.
        OSError: the disk is at fault.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        digest = _transfer(url, partial, limit, algorithm, show)
        if not digest.startswith(sum_of):
            raise DownloadError(f"what came has the {algorithm} sum {digest}, not {sum_of}: do not use it")
        partial.replace(path)
    except (urllib.error.URLError, http.client.HTTPException) as error:
        raise DownloadError(str(getattr(error, "reason", None) or f"{type(error).__name__} {error}")) from None
    except TimeoutError:
        raise DownloadError(f"no answer for {TIMEOUT_S:.0f} s") from None
    finally:
        partial.unlink(missing_ok=True)


def _transfer(url: str, path: Path, limit: int, algorithm: str, show: Callable[[int, int], None]) -> str:
    _refuse_scheme(url)
    digest = hashlib.new(algorithm, usedforsecurity=False)
    start, done = time.monotonic(), 0
    opener = urllib.request.build_opener(_SafeRedirects)
    with opener.open(url, timeout=TIMEOUT_S) as answer, path.open("wb") as file:
        text = str(answer.headers.get("Content-Length") or "")
        total = int(text) if text.isdecimal() and len(text) < 16 else 0
        if total > limit:
            raise DownloadError(f"the server announces {total} bytes, more than the {limit} that it can have")
        while block := answer.read1(_BLOCK) if hasattr(answer, "read1") else answer.read(_BLOCK):
            digest.update(block)
            file.write(block)
            done += len(block)
            spent = time.monotonic() - start
            if done > limit:
                raise DownloadError(f"the body does not end: more than {limit} bytes came")
            if spent > _GRACE_S and done < SLOWEST * spent:
                raise DownloadError(f"too slow: {done} bytes in {spent:.0f} s")
            show(done, max(done, total))
    if done < total:
        raise DownloadError(f"the connection broke after {done} of {total} bytes")
    return digest.hexdigest()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only: a checked sum does not make a plain connection private."""

    def redirect_request(  # noqa: PLR0917  urllib calls it so
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _refuse_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_scheme(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme not in SCHEMES:
        raise urllib.error.URLError(f"{url} is neither https nor a file")
