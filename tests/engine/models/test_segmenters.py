"""The U-Nets: shapes, counts of weights, layers against torch's own, and that they learn."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.instancenorm import _InstanceNorm

from engine.errors import RecipeError
from engine.losses import CrossEntropy, Dice, Sum
from engine.models import build_model, cam_layer, count_parameters, output_channels, output_kind
from engine.models.dynunet import plan_strides
from engine.models.joint_dropout import JointDropout
from engine.models.layers import InstanceNorm, UpConv, halve, norm_layer
from engine.models.resunet import fold, plan_channels, unfold
from engine.recipe import ModelTable

SMALL = {
    "unet3d": {"channels": (4, 8, 16)},
    "resunet": {"channels": (8, 16)},
    "segresnet": {"channels": (8, 16, 32)},
    "dynunet": {"channels": (8, 16, 32)},
}


PLANAR = ("resunet", "segresnet", "dynunet")


def build(name, size=(16, 24, 16), image_channels=1, classes=1, **keys):
    torch.manual_seed(0)
    return build_model(
        ModelTable(name=name, **{**SMALL[name], **keys}),
        task="segmentation",
        channels=image_channels,
        classes=classes,
        spatial_dims=len(size),
        size=size,
        root=Path(),
    )


def test_plain_upsampling_repeats_voxels_and_stands_before_the_level_s_own_features():
    model = build("unet3d", upsample="nearest")
    seen = {}
    model.down[2].register_forward_hook(lambda _module, _args, out: seen.update(deepest=out))
    model.down[1].register_forward_hook(lambda _module, _args, out: seen.update(own=out))
    model.join[1].register_forward_pre_hook(lambda _module, args: seen.update(joined=args[0]))
    assert model(torch.randn(2, 1, 16, 24, 16)).shape == (2, 1, 16, 24, 16)
    repeated = seen["deepest"]
    for axis in (2, 3, 4):
        repeated = repeated.repeat_interleave(2, axis)
    assert torch.equal(seen["joined"], torch.cat((repeated, seen["own"]), 1))


@pytest.mark.parametrize("upsample", ["nearest", "convolution"])
def test_weights_begin_within_glorot_s_bounds(upsample):
    model = build("unet3d", upsample=upsample, init="glorot")
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            assert not weight.any()
            continue
        bound = (6 / ((weight.shape[0] + weight.shape[1]) * weight[0, 0].numel())) ** 0.5
        assert weight.abs().max() <= bound
        if weight.numel() > 400:  # the deviation of a uniform distribution
            assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_output_kinds():
    def table(output):
        return ModelTable(name="unet3d", output=output)

    assert output_kind(table("auto"), "segmentation", 1) == "sigmoid"
    assert output_kind(table("auto"), "segmentation", 2) == "softmax"
    assert output_kind(table("softmax"), "segmentation", 1) == "softmax"
    assert output_kind(table("auto"), "classification", 2) == "softmax"
    assert output_channels(table("auto"), "segmentation", 1) == 1
    assert output_channels(table("softmax"), "segmentation", 1) == 2
    assert output_channels(table("auto"), "segmentation", 2) == 3
    assert output_channels(ModelTable(name="resnet18"), "classification", 7) == 7
    with pytest.raises(RecipeError) as caught:
        output_kind(table("sigmoid"), "segmentation", 2)
    assert caught.value.problems[0].key == "model.output"


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_logits_have_the_shape_of_the_image(name, channels, classes):
    model = build(name, image_channels=channels, classes=classes)
    image = torch.randn(2, channels, 16, 24, 16)
    logits = model(image)
    assert logits.shape == (2, 1 if classes == 1 else 3, 16, 24, 16)
    logits.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("norm", ["instance", "batch", "group", "none"])
@pytest.mark.parametrize("name", ["resunet", "segresnet", "dynunet"])
def test_every_norm(name, norm):
    model = build(name, norm=norm, dropout=0.2)
    image = torch.randn(2, 1, 16, 24, 16)
    assert model(image).isfinite().all()
    kinds = {"instance": _InstanceNorm, "batch": nn.BatchNorm3d, "group": nn.GroupNorm}
    for kind, layer in kinds.items():
        assert any(isinstance(module, layer) for module in model.modules()) == (kind == norm)
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(image), model(image))


@pytest.mark.parametrize("name", SMALL)
def test_dropout_is_for_training_only_and_spares_the_logits(name):
    model = build(name, dropout=0.5)
    image = torch.randn(1, 1, 16, 24, 16)
    with torch.no_grad():
        noisy = model(image)
        assert not torch.equal(noisy, model(image))
        assert (noisy == 0).float().mean() < 0.45
        model.eval()
        assert torch.equal(model(image), model(image))


DEEP = {"resunet": [(8, 12, 8)], "dynunet": [(8, 12, 8)]}  # patch 2: a quarter of 32, 48, 32; else a half of 16, 24, 16


@pytest.mark.parametrize("name", DEEP)
def test_deep_supervision_adds_levels_in_training_and_nothing_else(name):
    size = (32, 48, 32) if name == "resunet" else (16, 24, 16)
    plain, deep = (build(name, size, classes=2, channels=(8, 16, 32), deep_supervision=on) for on in (False, True))
    image = torch.randn(2, 1, *size)
    top, *below = deep(image)
    assert [tuple(level.shape) for level in (top, *below)] == [(2, 3, *size), *((2, 3, *side) for side in DEEP[name])]
    assert torch.equal(top, plain(image))
    sum(level.square().mean() for level in (top, *below)).backward()
    assert all(parameter.grad is not None for parameter in deep.parameters())
    own = deep.state_dict()
    assert {key for key in own if key not in plain.state_dict()} == {key for key in own if "_below." in key}
    assert all(torch.equal(own[key], value) for key, value in plain.state_dict().items())
    assert type(cam_layer(deep)) is type(cam_layer(plain))
    copy.deepcopy(deep)
    assert torch.equal(deep.eval()(image), plain.eval()(image))


@pytest.mark.parametrize("name", DEEP)
def test_deep_supervision_needs_a_level_to_supervise(name):
    size = (16, 16, 16) if name == "resunet" else (8, 8, 8)
    with pytest.raises(RecipeError):
        build(name, size, channels=(8, 16), deep_supervision=True)


@pytest.mark.parametrize("name", SMALL)
def test_channels_last_gives_the_same(name):
    model = build(name)
    image = torch.randn(2, 1, 16, 24, 16)
    plain = model(image)
    model.to(memory_format=torch.channels_last_3d)
    other = model(image.contiguous(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(other, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_the_cam_layer_makes_features_of_the_image(name):
    model = build(name)
    seen = []
    cam_layer(model).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    model(torch.randn(1, 1, 16, 24, 16))
    assert len(seen) == 1
    assert seen[0].ndim == 5
    assert seen[0].shape[1] == SMALL[name]["channels"][0]
    assert cam_layer(nn.DataParallel(model)) is cam_layer(model)


def test_a_network_of_others_has_no_cam_layer():
    with pytest.raises(ValueError, match="Linear"):
        cam_layer(nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("name", "size"), [("unet3d", (30, 32, 32)), ("resunet", (16, 24, 18)), ("segresnet", (9, 24, 16))]
)
def test_sizes_that_do_not_fit_are_named_with_the_nearest(name, size):
    with pytest.raises(RecipeError) as caught:
        build(name, size)
    problem = caught.value.problems[0]
    assert problem.key == "data.size"
    multiple = 4
    lower = [side // multiple * multiple for side in size]
    upper = [-(-side // multiple) * multiple for side in size]
    assert str(lower) in problem.allowed
    assert str(upper) in problem.allowed


def test_the_experiments_network():
    model = build_model(
        ModelTable(name="unet3d"),
        task="segmentation",
        channels=1,
        classes=1,
        spatial_dims=3,
        size=(112, 112, 80),
        root=Path(),
    )
    assert count_parameters(model) == 22_575_329
    kernels = [tuple(m.weight.shape[:2]) for m in model.modules() if isinstance(m, nn.Conv3d) and m.kernel_size[0] == 3]
    assert kernels == [
        (32, 1), (32, 32), (64, 32), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (512, 256), (512, 512),
        (32, 64), (32, 32), (64, 128), (64, 64), (128, 256), (128, 128), (256, 512), (256, 256),
    ]  # fmt: skip
    assert not any("Norm" in type(module).__name__ for module in model.modules())


def test_the_experiments_network_step_by_step():
    """The same weights through torch's plain operations."""
    model = build("unet3d")
    image = torch.randn(1, 1, 16, 24, 16)

    def level(convolutions, features):
        for index in (0, 2):
            features = functional.conv3d(
                features, convolutions[index].weight, convolutions[index].bias, padding=1
            ).relu()
        return features

    def rise(up, features):
        large = functional.interpolate(features, scale_factor=2, mode="nearest")
        return functional.conv3d(functional.pad(large, (0, 1) * 3), up.weight, up.bias)

    first = level(model.down[0], image)
    second = level(model.down[1], functional.max_pool3d(first, 2))
    third = level(model.down[2], functional.max_pool3d(second, 2))
    second = level(model.join[1], torch.cat((second, rise(model.up[1], third)), 1))
    first = level(model.join[0], torch.cat((first, rise(model.up[0], second)), 1))
    expected = functional.conv3d(first, model.final.weight, model.final.bias)
    torch.testing.assert_close(model(image), expected, atol=1e-5, rtol=1e-5)


def test_up_convolution_and_its_gradients():
    layer = UpConv(3, 2).double()
    features = torch.randn(2, 3, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    large = functional.interpolate(features, scale_factor=2, mode="nearest")
    expected = functional.conv3d(functional.pad(large, (0, 1) * 3), layer.weight, layer.bias)
    torch.testing.assert_close(layer(features), expected)
    weight = torch.randn_like(expected)
    ours = torch.autograd.grad((layer(features) * weight).sum(), [features, layer.weight])
    theirs = torch.autograd.grad((expected * weight).sum(), [features, layer.weight])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_instance_norm_is_torchs_in_both_layouts(layout):
    ours, theirs = InstanceNorm(5), nn.InstanceNorm3d(5, affine=True)
    with torch.no_grad():
        ours.weight.uniform_(0.5, 2)
        ours.bias.uniform_(-1, 1)
    theirs.load_state_dict(ours.state_dict())
    features = (torch.randn(3, 5, 4, 3, 2) * 3 + 1).contiguous(memory_format=layout).requires_grad_()
    out = ours(features)
    torch.testing.assert_close(out, theirs(features))
    assert out.is_contiguous(memory_format=layout)
    weight = torch.randn_like(out)
    first = torch.autograd.grad((out * weight).sum(), [features, *ours.parameters()])
    second = torch.autograd.grad((theirs(features) * weight).sum(), [features, *theirs.parameters()])
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    ours.eval()
    torch.testing.assert_close(ours(features), out)


def test_there_is_no_other_norm():
    with pytest.raises(ValueError, match="layer"):
        norm_layer("layer", 4)


def test_halving_is_max_pooling():
    features = torch.randn(2, 3, 4, 6, 8)
    by_hand = features.reshape(2, 3, 2, 2, 3, 2, 4, 2).amax((3, 5, 7))
    assert torch.equal(halve(features), by_hand)


@pytest.mark.parametrize("patch", [1, 2])
def test_unfold_undoes_fold(patch):
    image = torch.randn(2, 3, 4, 6, 8)
    folded = fold(image, patch)
    assert folded.shape == (2, 3 * patch**3, 4 // patch, 6 // patch, 8 // patch)
    assert torch.equal(unfold(folded, patch), image)
    if patch == 2:
        # One voxel of the folded image is one 2x2x2 block of the image.
        assert folded[0, :8, 1, 2, 3].sort().values.equal(image[0, 0, 2:4, 4:6, 6:8].flatten().sort().values)


def test_unfold_undoes_fold_in_the_plane():
    image = torch.randn(2, 3, 4, 6)
    assert torch.equal(fold(image, 2), nn.functional.pixel_unshuffle(image, 2))
    assert torch.equal(unfold(fold(image, 2), 2), image)


@pytest.mark.parametrize("name", PLANAR)
@pytest.mark.parametrize("norm", ["instance", "batch", "group", "none"])
def test_pictures_go_through_with_every_norm(name, norm):
    model = build(name, (32, 24), image_channels=3, classes=2, norm=norm)
    assert model(torch.randn(2, 3, 32, 24)).shape == (2, 3, 32, 24)
    assert cam_layer(model) is not None


@pytest.mark.parametrize("units", [0, 1, 2, 3])
@pytest.mark.parametrize("patch", [1, 2])
def test_resunet_units_and_patch(units, patch):
    model = build("resunet", patch=patch, residual_units=units)
    assert model(torch.randn(1, 1, 16, 24, 16)).shape == (1, 1, 16, 24, 16)
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv3d) and m.kernel_size == (3, 3, 3)]
    assert len(convolutions) == 3 * max(units, 1)


def test_default_levels_follow_the_size():
    assert plan_channels((112, 112, 80), 2) == (16, 32, 64, 128)
    assert plan_channels((128, 128, 128), 2) == (16, 32, 64, 128, 256)
    assert plan_channels((8, 8, 8), 2) == (16,)
    assert plan_strides((40, 56, 40)) == [(1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
    assert plan_strides((128, 128, 16)) == [(1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 1), (2, 2, 1), (2, 2, 1)]
    assert build("dynunet", (16, 16, 8), channels=None)(torch.randn(1, 1, 16, 16, 8)).shape == (1, 1, 16, 16, 8)


@pytest.mark.parametrize(
    ("name", "size", "keys", "key"),
    [
        ("segresnet", (16, 16, 16), {"channels": (8, 24)}, "model.channels"),
        ("segresnet", (16, 16, 16), {"channels": (4, 8), "norm": "group"}, "model.channels"),
        ("dynunet", (16, 16, 16), {"channels": (8, 12, 16), "norm": "group"}, "model.channels"),
        ("dynunet", (32, 32, 32), {"channels": (8, 12)}, "model.channels"),
        ("dynunet", (16, 16, 16), {"channels": (8, 8, 8, 8, 8)}, "data.size"),
        ("dynunet", (18, 18, 18), {}, "data.size"),
        ("dynunet", (8, 8, 8), {}, "data.size"),
        ("resunet", (4, 4, 4), {}, "data.size"),
        ("unet3d", (16, 16), {}, "model.name"),
    ],
)
def test_what_does_not_fit_is_refused(name, size, keys, key):
    with pytest.raises(RecipeError) as caught:
        build(name, size, **keys)
    assert caught.value.problems[0].key == key


@pytest.mark.parametrize(("name", "axes"), [*((name, 3) for name in SMALL), *((name, 2) for name in PLANAR)])
def test_it_learns_a_ball(name, axes):
    model = build(name, (16,) * axes)
    places = torch.stack(torch.meshgrid(*[torch.arange(16.0) - 7.5] * axes, indexing="ij"))
    target = (places.square().sum(0) < 25).long()[None]
    image = (target.float() + 0.3 * torch.randn(1, *[16] * axes))[None]
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    loss = Sum(Dice("sigmoid"), CrossEntropy("sigmoid"))
    for _ in range(40):
        optimizer.zero_grad()
        loss(model(image), target).backward()
        optimizer.step()
    found = model(image)[:, 0] > 0
    assert 2 * (found & (target == 1)).sum() / (found.sum() + target.sum()) > 0.9


@pytest.mark.parametrize("dropout", [nn.Dropout(0.3), nn.Dropout3d(0.3)])
def test_what_is_dropped_does_not_depend_on_the_layout_in_memory(dropout):
    features, joint = torch.randn(1, 16, 4, 5, 6), JointDropout(dropout)
    lasts = features.to(memory_format=torch.channels_last_3d)
    torch.manual_seed(0)
    first = joint(features)
    torch.manual_seed(0)
    assert torch.equal(first, joint(lasts))
    torch.manual_seed(0)
    assert torch.equal(first, dropout(lasts))
