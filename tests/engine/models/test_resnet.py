"""ResNets against torchvision's, with the same random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from engine.device import ONE_VOXEL
from engine.errors import RecipeError
from engine.models import build_model, cam_layer, count_parameters
from engine.models.layers import InstanceNorm
from engine.models.resnet import build_resnet
from engine.models.weights import adapt_channels
from engine.recipe import ModelTable
from engine.recipe.models import ResNetTable

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101")


def build(folder, name="resnet18", channels=3, classes=7, **keys):
    table = ModelTable(name=name, **keys)
    return build_model(
        table, task="classification", channels=channels, classes=classes, spatial_dims=2, size=(64, 64), root=folder
    )


def torchvisions(name, classes=1000):
    """torchvision's network, with statistics of its batch norms that are not the neutral ones."""
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)(weights=None, num_classes=classes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.7, 1.3)
            nn.init.uniform_(module.weight, 0.5, 1.0)
    return model.eval()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A cache of torch hub with random weights in the place of ImageNet's."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(torchvisions("resnet18").state_dict(), tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_same_weights_give_torchvisions_output(name):
    theirs = torchvisions(name, classes=5)
    ours = build_resnet(ResNetTable(name=name), 3, 5, (97, 64)).eval()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict())
    image = torch.randn(2, 3, 97, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-5, rtol=1e-5)
    assert count_parameters(ours) == count_parameters(theirs)


def test_pretrained_weights_are_torchvisions_but_for_the_last_layer(hub):
    theirs = torchvisions("resnet18")
    ours = build(hub, pretrained=True).eval()
    ours.fc, theirs.fc = nn.Identity(), nn.Identity()
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-5, rtol=1e-5)


def test_the_second_version_is_torchvisions_default(hub):
    theirs = torchvisions("resnet50")
    file = Path(torchvision.models.get_model_weights("resnet50").DEFAULT.url).name
    torch.save(theirs.state_dict(), hub / "hub" / "checkpoints" / file)
    ours = build(hub, name="resnet50", pretrained=True, imagenet_weights="V2")
    assert torch.equal(ours.get_parameter("layer4.2.conv3.weight"), theirs.get_parameter("layer4.2.conv3.weight"))


def test_a_grey_image_gives_the_features_that_it_gives_in_colour(hub):
    theirs = torchvisions("resnet18")
    ours = build(hub, channels=1, pretrained=True).eval()
    ours.fc, theirs.fc = nn.Identity(), nn.Identity()
    image = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_the_first_convolution_for_other_channels():
    weight = torch.rand(8, 3, 7, 7)
    assert adapt_channels(weight, 3) is weight
    torch.testing.assert_close(adapt_channels(weight, 1)[:, 0], weight.sum(1))
    torch.testing.assert_close(adapt_channels(weight, 2), weight[:, :2] * 1.5)
    torch.testing.assert_close(adapt_channels(weight, 4), weight[:, [0, 1, 2, 0]] * 0.75)
    torch.testing.assert_close(adapt_channels(weight, 6).sum(1), weight.sum(1))


@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 7), (5, 3)])
def test_any_number_of_channels_and_classes(tmp_path, channels, classes):
    model = build(tmp_path, channels=channels, classes=classes, dropout=0.5)
    assert model(torch.randn(2, channels, 64, 64)).shape == (2, classes)
    assert cam_layer(model) is model.layer4
    assert set(model.state_dict()) == set(torchvisions("resnet18").state_dict())


def test_one_class_is_nothing_to_learn(tmp_path):
    with pytest.raises(RecipeError) as caught:
        build(tmp_path, classes=1)
    assert caught.value.problems[0].key == "data.classes"


def test_weights_are_counted_without_any_also_with_dropout(tmp_path):
    with torch.device("meta"):
        model = build(tmp_path, dropout=0.5)
    assert model.fc.weight.is_meta


def test_dropout_is_for_training_only(tmp_path):
    model = build(tmp_path, dropout=0.5)
    image = torch.randn(2, 3, 64, 64)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(image), model(image))
        model.layer4.register_forward_hook(lambda _module, _inputs, output: torch.ones_like(output))
        model.train()
        assert not torch.equal(model(image), model(image))


def test_without_a_network_the_message_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    # A proxy that is not there: the request fails at once, on any machine.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(RecipeError) as caught:
        build(tmp_path, "resnet50", pretrained=True)
    text = str(caught.value)
    assert "resnet50-0676ba61.pth" in text
    assert str(tmp_path / "checkpoints") in text
    assert "--set model.pretrained=false" in text
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_damaged_download_is_named(hub):
    path = hub / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RecipeError) as caught:
        build(hub, pretrained=True)
    assert str(path) in str(caught.value)
    assert caught.value.problems[0].key == "model.pretrained"


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_of_a_volume_that_is_one_picture_all_along_it_gives_what_torchvision_gives_of_the_picture(name):
    theirs = torchvisions(name, classes=5)
    ours = build_resnet(ResNetTable(name=name), 3, 5, (64, 64, 32)).eval()
    weights = theirs.state_dict()
    for key, value in weights.items():
        if value.ndim == 4:  # a kernel that looks at its own slice only
            deep = torch.zeros(*value.shape, value.shape[-1])
            deep[..., value.shape[-1] // 2] = value
            weights[key] = deep
    ours.load_state_dict(weights)
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = ours(image[..., None].expand(-1, -1, -1, -1, 32))
        torch.testing.assert_close(found, theirs(image), atol=1e-5, rtol=1e-5)


def test_stem_width_and_norm_are_what_they_say():
    image = torch.randn(2, 1, 32, 32, 32)
    for stem, side in ((4, 1), (2, 2), (1, 4)):
        model = build_resnet(ResNetTable(name="resnet18", stem=stem, width=0.125, norm="group"), 1, 2, (32, 32, 32))
        sizes = []
        cam_layer(model).register_forward_hook(lambda _m, _i, output, sizes=sizes: sizes.append(output.shape))
        assert model(image).shape == (2, 2)
        assert sizes == [(2, 64, side, side, side)]
        assert not any(isinstance(module, nn.BatchNorm3d) for module in model.modules())
    thin, full = (
        count_parameters(build_resnet(ResNetTable(name="resnet18", width=w), 3, 7, (64, 64))) for w in (0.5, 1)
    )
    assert 3.9 < full / thin < 4.1


def test_group_norm_takes_any_width():
    for width, groups in ((0.3, {1, 2, 3, 4}), (0.1875, {6, 8}), (0.5, {8})):  # 19, 38, 76, 153 features; 12, ...
        model = build_resnet(ResNetTable(name="resnet18", width=width, norm="group"), 1, 2, (64, 64))
        norms = [module for module in model.modules() if isinstance(module, nn.GroupNorm)]
        assert {module.num_groups for module in norms} <= groups
        assert all(module.num_channels % module.num_groups == 0 for module in norms)


def test_instance_norm_of_one_voxel_says_what_torch_says_in_either_layout():
    image = torch.randn(2, 4, 1, 1)
    for one in (image, image.transpose(0, 1).contiguous().transpose(0, 1)):  # the second is not contiguous
        with pytest.raises(ValueError, match=f"^{ONE_VOXEL}"):
            InstanceNorm(4, 2)(one)
