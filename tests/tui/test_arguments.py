"""Every command and every option: to the request that the engine decodes, in the help, and in the documentation."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.__main__ import function_of
from engine.commands.sweep import sweep
from engine.errors import UsageError
from engine.requests import REQUESTS, Request, Sweep, decode, encode, options_of
from engine.runfolder import create, own_status, release_lock, take_lock, write_status
from tests.engine.recipe.good import SEGMENTATION
from tui.arguments import parser

ROOT = Path(__file__).resolve().parents[2]
HERE = {"run", "runs", "plain", "detach", "wait", "once", "now", "text", "host", "port", "help", "version"}
"""Options that the command line needs itself: to find runs and to show them. All others are the engine's."""
SAMPLES = {"TABLE.KEY=VALUE": "train.epochs=4", "N": "7", "S": "train", "D": "cpu"}


def leaves(
    part: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command with its own parser, ("data", "list") as well."""
    groups = [action for action in part._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, child in group.choices.items():
            yield from leaves(child, (*words, name))
    if not groups:
        yield words, part


COMMANDS = dict(leaves(parser(str)))
ASKING = [words for words, part in COMMANDS.items() if part.get_default("ask")]


def sample(action: argparse.Action) -> list[str]:
    """Words that give ``action`` a value which is not its default."""
    flag = action.option_strings[-1:]
    if action.nargs == 0:
        return flag
    if action.choices:
        return [*flag, str(list(action.choices)[-1])]
    return [*flag, SAMPLES.get(str(action.metavar), f"a-{action.dest}")]


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "seg.toml").write_text(SEGMENTATION)
    create(tmp_path / "runs", "first")
    create(tmp_path / "runs", "a-start")
    for name in ("some-inputs", "a.nii", "b.nii", "a-data"):  # what has to be there before PyTorch is loaded
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def needed(words: tuple[str, ...]) -> list[str]:
    """A command with no more than what must be given."""
    given = {"recipe": "seg.toml", "run": "first"}
    typed = list(words)
    for action in COMMANDS[words]._actions:
        if action.required:
            typed += [*action.option_strings[-1:], given.get(action.dest, f"some-{action.dest}")]
    return typed


def asked(typed: list[str]) -> Request:
    """What the engine is asked for by a command line, as it is decoded on the other side."""
    arguments = parser(str).parse_args(typed)
    request = arguments.ask(arguments)
    return decode(request.command, encode(request))


def besides(request: Request) -> dict[str, tuple[str, object]]:
    """The options that do something only beside a value of another, and which."""
    return {name: option.beside for name, _, _, option in options_of(type(request)) if option.beside}


@pytest.mark.parametrize("words", ASKING, ids="-".join)
def test_no_option_is_dropped_on_the_way_to_the_engine(words, place):
    plain = asked(needed(words))
    options = [action for action in COMMANDS[words]._actions if action.dest not in HERE and not action.required]
    for action in options:
        key, value = besides(plain).get(action.dest, ("", False))
        more = [f"--{key}", *([] if value is True else [value])] if value else []
        assert asked([*needed(words), *sample(action), *more]) != asked([*needed(words), *more]), action.dest
    options = [action for action in options if besides(plain).get(action.dest, ("", True))[1]]
    together = asked([*needed(words), *(word for action in options for word in sample(action))])
    assert plain.command == together.command
    for action in options:
        assert getattr(together, action.dest) != getattr(plain, action.dest)


@pytest.mark.parametrize("words", ASKING, ids="-".join)
def test_every_field_of_a_request_can_be_asked_for(words, place):
    request = asked(needed(words))
    typed = {action.dest for action in COMMANDS[words]._actions}
    assert set(request.__struct_fields__) - typed <= {"handshake", "study"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("run seg.toml --nodes 2", "--nodes does nothing without --on slurm"),
        ("run seg.toml --slurm partition=gpu", "--slurm does nothing without --on slurm"),
        ("sweep seg.toml --seeds 2 --slurm partition=gpu", "--slurm does nothing without --on slurm"),
        ("resume first --name other", "--name does nothing without --fork"),
        ("check seg.toml --json --profile", "--profile does nothing with --json"),
    ],
)
def test_an_option_that_does_nothing_beside_the_others_is_refused(typed, said, place):
    with pytest.raises(UsageError, match=said):
        asked(typed.split())


def test_what_goes_on_as_it_is_takes_no_settings(place):
    live = create(place / "runs", "live")
    lock = take_lock(live)
    write_status(live, replace(own_status("live", "segmentation", 3), state="paused"))
    arguments = parser(str).parse_args(["resume", "live", "--set", "train.epochs=9"])
    with pytest.raises(UsageError, match="has its trainer, which goes on as it is"):
        arguments.perform(arguments)
    release_lock(lock)
    study = create(place / "runs", "mine", study=True)
    (study.root / "study.toml").touch()
    for given in ({"name": "other"}, {"on": "slurm"}, {"seeds": 2}):
        with pytest.raises(UsageError, match="a study goes on as it was begun"):
            sweep(Sweep(recipe=study.root, resume=True, **given))


def test_what_must_be_given_arrives(place):
    request = asked(["predict", "first", "a.nii", "b.nii", "-o", "out"])
    sent = {"run": f"runs/{request.run.name}", "inputs": ["a.nii", "b.nii"], "output": "out"}
    assert json.loads(encode(request)) == sent
    assert asked(["data", "phantom", "isic2018", "--cases", "9"]).cases == 9
    assert [run.name for run in asked(["report"]).runs] == [request.run.name]
    assert asked(["run", "seg.toml", "--runs", "other"]).runs == Path("other")


def test_a_study_is_a_run_where_its_members_can_vote(place):
    study = create(place / "runs", "mine", study=True)
    (study.root / "study.toml").touch()
    for typed in (["evaluate", "mine"], ["predict", "mine", "a.nii", "-o", "out"]):
        assert asked(typed).run.name == study.id
    assert [run.name for run in asked(["report", study.id]).runs] == [study.id]
    assert asked(["sweep", "--resume", "mine"]).recipe == Path("mine")
    with pytest.raises(UsageError, match="is a study"):
        asked(["run", "seg.toml", "--from", "mine"])


def test_every_request_can_be_typed_and_is_answered_by_a_function_of_its_name():
    assert len(ASKING) == len(REQUESTS)
    for name, request in REQUESTS.items():
        function = function_of(request)
        assert function.__name__ == name.replace("-", "_")
        assert next(iter(inspect.signature(function, eval_str=True).parameters.values())).annotation is request


@pytest.mark.parametrize("request_class", REQUESTS.values(), ids=lambda request: request.command)
def test_every_field_of_a_request_is_explained(request_class):
    explained = {name for name, _, _, option in options_of(request_class) if option.words}
    assert {*request_class.__struct_fields__} - explained <= {"handshake", "study", "runs"}


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_every_command_and_option_is_documented(words):
    listed = (ROOT / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert f"`{words[0]}" in listed or f"`medtui {words[0]}" in listed
    assert len(words) == 1 or f"{words[1]}" in listed
    page = (ROOT / "docs" / "commands.md").read_text()
    section = page.partition(f"\n## medtui {' '.join(words)}\n")[2].partition("\n## ")[0]
    for action in COMMANDS[words]._actions:
        assert action.help, f"{action.dest} has no help"
        assert action.dest == "help" or (action.option_strings or [str(action.metavar)])[-1] in section, action.dest
