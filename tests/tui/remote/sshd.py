"""A real sshd on loopback with keys of its own, behind a door that counts bytes and can be slammed."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

SSHD = shutil.which("sshd") or (shutil.which("/usr/sbin/sshd") if os.access("/usr/sbin/sshd", os.X_OK) else None)


class Door:
    """Passes TCP connections on to a port of this machine.

    Attributes:
        port: where it listens, on loopback.
        count: bytes that went through, both ways.
    """

    def __init__(self, to: int) -> None:
        self._to, self.count = to, 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def slam(self) -> None:
        """Cut all connections; new ones are let in."""
        for end in self._open:
            with contextlib.suppress(OSError):  # it is gone already
                end.shutdown(socket.SHUT_RDWR)
        self._open = []

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                self.count += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


class Sshd:
    """An sshd for this user.

    Attributes:
        config: settings of ssh by which ``loopback`` is it.
        door: what stands before it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized").write_bytes((folder / "user.pub").read_bytes())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        (folder / "sshd_config").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder / 'authorized'}\nPasswordAuthentication no\nStrictModes no\n"
            "PermitRootLogin yes\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it will not start without
        assert SSHD
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=(folder / "sshd.log").open("w")
        )
        self.door = Door(port)
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"Host loopback\n HostName 127.0.0.1\n Port {self.door.port}\n User {getpass.getuser()}\n"
            f" IdentityFile {folder / 'user'}\n IdentitiesOnly yes\n UserKnownHostsFile {folder / 'known'}\n"
            " StrictHostKeyChecking no\n"
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)

    def close(self) -> None:
        self.door.slam()
        self.door.close()
        self.process.terminate()
        self.process.wait()
