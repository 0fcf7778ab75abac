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
    text = refused(tmp_path, levels=(4, 16))
    assert "1 missing: down.1.0.bias" in text
    assert "1 unknown: extra" in text
    assert "down.1.0.weight (8x4x3x3x3, the network has 16x4x3x3x3)" in text


def built(root, table, *, channels=1, classes=1):
    torch.manual_seed(channels)
    kind = {"task": table_task(table), "spatial_dims": 2, "size": (32, 32)}
    return build_model(table, channels=channels, classes=classes, root=root, **kind).eval()


def table_task(table):
    return "classification" if "classification" in table.tasks else "segmentation"


NETWORKS = {
    "resnet18": {},
    "resunet": {"channels": (6, 12)},
    "resunet of single voxels": {"name": "resunet", "channels": (6, 12), "patch": 1, "residual_units": 1},
    "segresnet": {"channels": (4, 8)},
    "dynunet": {"channels": (4, 8, 16)},
}


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 4)])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_grey_image_gives_the_same_with_other_channels(tmp_path, name, before, after):
    keys = {"name": name, **NETWORKS[name]}
    first = built(tmp_path, ModelTable(**keys), channels=before, classes=2)
    torch.save(first.state_dict(), tmp_path / "net.pt")
    other = built(tmp_path, ModelTable(**keys, weights="net.pt"), channels=after, classes=2)
    assert f"of {before} channel{'s' * (before > 1)}, was adapted to {after}" in first_weights(other)
    grey = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        expected, found = (net(grey.expand(-1, count, -1, -1)) for net, count in ((first, before), (other, after)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 1e-3


def test_a_patch_is_not_taken_for_channels(tmp_path):
    """Of the weights it is known that they had one channel: eight times as many values are a patch."""
    keys = {"name": "resunet", "channels": (4, 8)}
    state = built(tmp_path, ModelTable(**keys)).state_dict()
    torch.save({"model": state, "origin": {"channels": 1}}, tmp_path / "net.pt")
    with pytest.raises(RecipeError, match="of another shape"):
        built(tmp_path, ModelTable(**keys, patch=1, weights="net.pt"))


@pytest.mark.parametrize("name", ["resunet", "dynunet"])
def test_heads_of_deep_supervision_are_new_and_the_final_layer_is_not(tmp_path, name):
    keys = NETWORKS[name] | {"name": name, "channels": (4, 8, 16, 32)}
    first = built(tmp_path, ModelTable(**keys))
    torch.save(first.state_dict(), tmp_path / "net.pt")
    deep = built(tmp_path, ModelTable(**keys, weights="net.pt", deep_supervision=True))
    head = next(key for key in first.state_dict() if key.startswith(ModelTable(**keys).head) and "weight" in key)
    assert torch.equal(deep.state_dict()[head], first.state_dict()[head])
    assert f"new, with a random start: {'final' if name == 'resunet' else 'output'}_below" in first_weights(deep)
    torch.save(deep.state_dict(), tmp_path / "net.pt")
    assert first_weights(built(tmp_path, ModelTable(**keys, weights="net.pt"))).endswith("all of the network's")
    more = first_weights(built(tmp_path, ModelTable(**keys, weights="net.pt", deep_supervision=True), classes=3))
    heads = sum(key.startswith(ModelTable(**keys).head) for key in deep.state_dict())
    assert f"{heads} new, with a random start" in more


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
