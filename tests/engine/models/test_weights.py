"""Files with weights to start from: what fits is loaded, what does not is named."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from engine.errors import RecipeError
from engine.models import build_model
from engine.models.weights import first_weights
from engine.recipe import ModelTable


def segmenter(root, *, classes=1, channels=1, file=None, levels=(4, 8)):
    table = ModelTable(name="unet3d", channels=levels, weights=file)
    return build_model(
        table, task="segmentation", channels=channels, classes=classes, spatial_dims=3, size=(16, 16, 16), root=root
    )


def refused(root, file="net.pt", **keys):
    with pytest.raises(RecipeError) as caught:
        segmenter(root, file=file, **keys)
    problem = caught.value.problems[0]
    assert problem.key == "model.weights"
    assert str(root / file) in problem.what
    return problem.what


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_is_loaded_bare_or_wrapped(tmp_path, wrap, prefix):
    torch.manual_seed(1)
    first = segmenter(tmp_path)
    torch.save(wrap({prefix + key: value for key, value in first.state_dict().items()}), tmp_path / "net.pt")
    torch.manual_seed(2)
    again = segmenter(tmp_path, file="net.pt")
    for key, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[key], value)


def test_the_final_layer_may_differ(tmp_path):
    first = segmenter(tmp_path)
    torch.save(first.state_dict(), tmp_path / "net.pt")
    other = segmenter(tmp_path, file="net.pt", classes=3)
    assert torch.equal(other.down[0][0].weight, first.down[0][0].weight)
    assert other.final.weight.shape[0] == 4
    tensors = len(other.state_dict())
    assert first_weights(other) == (
        f"{tensors - 2} of {tensors} tensors from net.pt; 2 new, with a random start: "
        "final.weight (4x4x1x1x1, 1x4x1x1x1 in the file), final.bias (4, 1 in the file)"
    )
    assert first_weights(first) == ""
    assert first_weights(segmenter(tmp_path, file="net.pt")).endswith("net.pt; all of the network's")


def test_a_final_layer_of_which_half_fits_stays_new(tmp_path):
    state = segmenter(tmp_path).state_dict()
    state["final.bias"] = torch.full((1,), 7.0)
    state["final.weight"] = torch.zeros(1, 9, 1, 1, 1)
    torch.save(state, tmp_path / "net.pt")
    assert segmenter(tmp_path, file="net.pt").final.bias.item() != 7.0


def test_a_file_without_a_final_layer_is_fine(tmp_path):
    state = {key: value for key, value in segmenter(tmp_path).state_dict().items() if not key.startswith("final.")}
    torch.save(state, tmp_path / "net.pt")
    loaded = segmenter(tmp_path, file="net.pt").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_weights_of_another_network_are_named(tmp_path):
    state = segmenter(tmp_path).state_dict()
    state["extra"] = state.pop("down.1.0.bias")
    torch.save(state, tmp_path / "net.pt")
    text = refused(tmp_path, channels=2)
    assert "1 missing: down.1.0.bias" in text
    assert "1 unknown: extra" in text
    assert "down.0.0.weight (4x1x3x3x3, the network has 4x2x3x3x3)" in text


def test_a_long_list_is_cut(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "net.pt")
    assert "more" in refused(tmp_path)


def test_files_that_hold_no_state_dict(tmp_path):
    refused(tmp_path)
    (tmp_path / "net.pt").write_bytes(b"")
    refused(tmp_path)
    (tmp_path / "net.pt").write_bytes(b"not a zip file")
    refused(tmp_path)
    torch.save({"model": 3}, tmp_path / "net.pt")
    refused(tmp_path)
    torch.save([torch.zeros(1)], tmp_path / "net.pt")
    refused(tmp_path)
    whole = io.BytesIO()
    torch.save(segmenter(tmp_path).state_dict(), whole)
    (tmp_path / "net.pt").write_bytes(whole.getvalue()[:2000])
    refused(tmp_path)
    (tmp_path / "folder").mkdir()
    refused(tmp_path, file="folder")


class Bomb:
    def __reduce__(self):
        return (print, ("code from a weights file ran",))


def test_code_in_a_file_does_not_run(tmp_path, capsys):
    torch.save({"model": Bomb()}, tmp_path / "net.pt")
    refused(tmp_path)
    assert capsys.readouterr().out == ""
