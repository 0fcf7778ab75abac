from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint import load_checkpoint, load_weights, save_checkpoint
from engine.errors import RunError


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_what_is_saved_is_loaded(tmp_path):
    state = {"w": torch.randn(3, 4), "n": torch.tensor(5)}
    save_checkpoint(tmp_path / "last.pt", {"model": state, "iteration": 7, "parts": {"best": {"value": float("nan")}}})
    content = load_checkpoint(tmp_path / "last.pt")
    assert content["iteration"] == 7
    assert all(torch.equal(content["model"][key], state[key]) for key in state)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: Path(path).write_bytes(pickle.dumps(content))])
def test_a_payload_is_refused_and_does_not_run(tmp_path, save):
    mark = tmp_path / "ran"
    save({"model": {"w": Payload(mark)}}, tmp_path / "best.pt")
    with pytest.raises(RunError):
        load_checkpoint(tmp_path / "best.pt")
    assert not mark.exists()


@pytest.mark.parametrize("content", [{}, {"weights": {}}, [1, 2], {"model": {"w": torch.ones(1)}, "format": 99}])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(RunError):
        load_checkpoint(tmp_path / "last.pt")


def test_a_missing_checkpoint_and_a_wrong_model_are_told(tmp_path):
    with pytest.raises(RunError, match="no checkpoint"):
        load_checkpoint(tmp_path / "last.pt")
    torch.save({"model": {"w": "text"}}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="state dict"):
        load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(60_000, 60_000),
        torch.ones(3, device="meta"),
        torch.eye(3).to_sparse(),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    ],
    ids=["a view of one value", "no values", "sparse", "nested"],
)
def test_tensors_that_are_not_stored_whole_are_refused(tmp_path, tensor):
    torch.save({"model": {"w": tensor}}, tmp_path / "last.pt")
    with pytest.raises(RunError, match="larger than what is stored"):
        load_checkpoint(tmp_path / "last.pt")


@given(st.data())
@settings(max_examples=300)
def test_damaged_bytes_are_loaded_or_told_and_nothing_else(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "damaged.pt"
    if not (folder / "whole.pt").exists():
        save_checkpoint(folder / "whole.pt", {"model": {"w": torch.arange(12.0)}, "iteration": 3})
    content = bytearray((folder / "whole.pt").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]) if data.draw(st.booleans()) else content)
    try:
        load_checkpoint(path)
    except RunError as error:
        assert "damaged.pt" in error.message


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"model": {}, "iteration": 1})

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        save_checkpoint(path, {"model": {}, "iteration": 2})
    monkeypatch.undo()
    assert load_checkpoint(path)["iteration"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("key", ["model", "raw"])
def test_weights_that_are_not_finite_never_reach_a_file(tmp_path, key):
    path = tmp_path / "last.pt"
    good = {"model": {"w": torch.ones(3)}, "raw": None, "iteration": 1}
    save_checkpoint(path, good)
    for value in (float("nan"), float("inf")):
        bad = good | {key: {"w": torch.tensor([1.0, value]), "n": torch.ones(1, dtype=torch.int64)}, "iteration": 2}
        with pytest.raises(RunError, match=r"last\.pt is not written: w holds values that are not finite"):
            save_checkpoint(path, bad)
    assert load_checkpoint(path)["iteration"] == 1


@pytest.mark.parametrize("count", [1e30, 10**30, -1, True, float("nan"), "7", None, torch.tensor(3)])
@pytest.mark.parametrize("name", ["epoch", "iteration"])
def test_a_count_that_is_none_is_refused(tmp_path, name, count):
    torch.save({"model": {}, "epoch": 1, "iteration": 7, name: count}, tmp_path / "last.pt")
    with pytest.raises(RunError, match=rf"last\.pt is damaged: its {name} is "):
        load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize("part", ["model", "raw"])
def test_weights_that_are_not_finite_are_not_loaded(tmp_path, part):
    bad = {"w": torch.tensor([1.0, float("nan")])}
    torch.save({"model": {"w": torch.ones(2)}, part: bad}, tmp_path / "best.pt")
    with pytest.raises(RunError, match=r"best\.pt is damaged: w holds values that are not finite"):
        load_checkpoint(tmp_path / "best.pt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda w: w.half(), "weight is float16, and float32 in the network"),
        (lambda w: w.double(), "weight is float64"),
        (lambda w: w.int(), "weight is int32"),
        (lambda w: w[:, :1], "size mismatch"),
        (lambda w: None, "Missing key"),
    ],
)
def test_weights_are_loaded_as_they_are_or_not_at_all(change, told):
    model = torch.nn.Linear(3, 2)
    state = {"weight": change(torch.ones(2, 3)), "bias": torch.zeros(2)}
    with pytest.raises(RunError, match=told):
        load_weights(model, {key: value for key, value in state.items() if value is not None}, "best.pt")
    load_weights(model, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "best.pt")
    assert bool((model.weight == 1).all())


def test_a_pipe_in_place_of_a_checkpoint_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "last.pt")
    with pytest.raises(RunError, match="not a regular file"):
        load_checkpoint(tmp_path / "last.pt")
