"""Which machine is meant, and how ssh reaches medtui there."""

import re
import shlex
import tomllib
from pathlib import Path

import msgspec

from engine.errors import UsageError, printable
from engine.runfolder import read_text
from tui.settings import settings_path

_TARGET = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9_][A-Za-z0-9_.-]*")
_OPTIONS = (
    *("-T", "-x", "-a", "-C", "-oBatchMode=yes", "-oConnectTimeout=10", "-oServerAliveInterval=10"),
    *("-oServerAliveCountMax=3", "-oClearAllForwardings=yes", "-oLogLevel=ERROR"),
)
NO_PASSWORD = "medtui asks for no password: ssh must get in by a key or an agent"  # noqa: S105


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine, as a table of the hosts file has it."""

    name: str = ""  # what it is called here
    ssh: str = ""  # [user@]host or a name of ~/.ssh/config; by default the name
    runs: str = "runs"  # the folder of runs there, from the home folder on
    medtui: str = "medtui"  # the command there
    config: str = ""  # a file of ssh's own settings, in place of ~/.ssh/config

    def command(self, *words: str) -> list[str]:
        """The command line that runs ``medtui`` with ``words`` there."""
        far = " ".join(["exec", _quoted(self.medtui), *words, "--runs", _quoted(self.runs)])
        config = ["-F", str(Path(self.config).expanduser())] if self.config else []
        return ["ssh", *_OPTIONS, *config, "--", self.ssh or self.name, far]

    def by_hand(self, *words: str) -> str:
        """What a person types to do that, or to be there."""
        config = f"-F {shlex.quote(self.config)} " if self.config else ""
        runs = f" --runs {_quoted(self.runs)}" if self.runs != "runs" else ""
        done = f" {' '.join([_quoted(self.medtui), *words])}{runs}" if words else ""
        return f"ssh {config}{self.ssh or self.name}{done}"

    def failure(self, code: int, said: bytes) -> UsageError:
        """What is wrong, from how ssh ended and what it printed."""
        text = printable(said.decode("utf-8", "replace").strip())[-2000:]
        ended = f"its ssh here was ended by signal {-code}" if code < 0 else f"ssh ended with {code}"
        last = text.splitlines()[-1].strip().rstrip(".") if text else ended
        table = self.name if re.fullmatch(r"[\w-]+", self.name) else f'"{self.name}"'  # as TOML has a key
        if code == 127 or (code in {1, 126} and "not found" in last):
            return UsageError(
                f"{self.name} has no command {self.medtui}: {last}",
                f'install medtui there, or name it in {hosts_path()}: [{table}] medtui = "~/venv/bin/medtui"',
            )
        if code == 2 and '"tail"' in text:
            return UsageError(f"the medtui on {self.name} is too old: it has no medtui tail", "bring it up to date")
        if code == 255:
            hint = f"try it by hand: {self.by_hand()}; {NO_PASSWORD}"
            return UsageError(f"ssh cannot reach {self.name}: {last}", hint)
        if code < 0:
            return UsageError(f"the connection to {self.name} was lost: {last}")
        return UsageError(f"medtui on {self.name} ended: {last}", f"try it by hand: {self.by_hand('runs')}")


def _quoted(word: str) -> str:
    """For the shell there; ``~/`` is its home folder."""
    return "~/" + shlex.quote(word[2:]) if word.startswith("~/") else shlex.quote(word)


def hosts_path() -> Path:
    """``$XDG_CONFIG_HOME/medtui/hosts.toml``, by default under ``~/.config``."""
    return settings_path().with_name("hosts.toml")


def known_hosts() -> dict[str, Host]:
    """The tables of the hosts file; none where there is no file.

    Raises:
        UsageError: it cannot be read.
    """
    path = hosts_path()
    try:
        tables = msgspec.convert(tomllib.loads(read_text(path)), dict[str, Host])
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        hint = "a table a host, each with some of: ssh, runs, medtui, config"
        raise UsageError(f"{path} cannot be used: {error}", hint) from error
    return {name: _checked(msgspec.structs.replace(host, name=name)) for name, host in tables.items()}


def find_host(name: str) -> Host:
    """The host that ``name`` means: of the hosts file, else what ssh knows.

    Raises:
        UsageError: no host can be called so.
    """
    return known_hosts().get(name) or _checked(Host(name=name))


def _checked(host: Host) -> Host:
    target = host.ssh or host.name
    if not _TARGET.fullmatch(target) or not _TARGET.fullmatch(host.name):  # above all, no option of ssh's
        raise UsageError(
            f'"{printable(target, keep="")}" is no name of a host',
            "allowed is [user@]host in letters, digits, dots, _ and -; ports and keys belong into ~/.ssh/config",
        )
    return msgspec.structs.replace(host, ssh=target)


def split_address(text: str | None) -> tuple[Host, str | None] | None:
    """The host and the run of ``[user@]host:RUN``, ``host:`` or ``user@host``; None for what is a run here.

    Raises:
        UsageError: no host can be called so.
    """
    if text is None or not ({"@", ":"} & set(text)) or Path(text).exists():
        return None
    host, _, run = text.partition(":")
    return find_host(host), run or None
