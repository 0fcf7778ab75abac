"""Grad-CAM on a network in training: the same maps as pytorch-grad-cam's, and nothing of the network touched."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from engine.evaluation.gradcam import grad_cam
from engine.models import cam_layer
from engine.models.resnet import build_resnet
from engine.recipe.models import ResNetTable


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return build_resnet(ResNetTable(name="resnet18"), 3, 4, (32, 32)).eval()


def test_equals_pytorch_grad_cam(model: nn.Module) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    images, labels = torch.randn(3, 3, 64, 96), np.array([2, 0, 3])
    found = grad_cam(model, images, labels)
    with GradCAM(model=model, target_layers=[cam_layer(model)]) as cam:
        peer = cam(images, [ClassifierOutputTarget(int(label)) for label in labels])
    larger = nn.functional.interpolate(torch.from_numpy(found)[:, None], (64, 96), mode="bilinear")[:, 0].numpy()
    assert found.shape == (3, 2, 3)
    # The peer scales each map after enlarging it, so that only the shape of a map can be compared.
    for mine, theirs in zip(larger, peer, strict=True):
        if theirs.max() > 0:
            assert np.corrcoef(mine.ravel(), theirs.ravel())[0, 1] > 0.95


def test_equals_pytorch_grad_cam_on_volumes() -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(2)
    table = ResNetTable(name="resnet18", stem=1, width=0.25, norm="group")
    model = build_resnet(table, 1, 3, (32, 40, 48)).eval()
    images, labels = torch.randn(2, 1, 32, 40, 48), np.array([2, 0])
    found = grad_cam(model, images, labels)
    assert found.shape == (2, 4, 5, 6)
    layer, targets = cam_layer(model), [ClassifierOutputTarget(int(label)) for label in labels]
    with GradCAM(model=model, target_layers=[layer]) as cam:
        cam(images, targets)
        kept = cam.activations_and_grads
        features, slopes = (each[-1].detach().numpy() for each in (kept.activations, kept.gradients))
        peer = np.maximum(cam.get_cam_image(images, layer, targets, features, slopes), 0)
    for mine, theirs in zip(found, peer, strict=True):
        assert theirs.max() > 0
        np.testing.assert_allclose(mine, theirs / theirs.max(), atol=1e-5)


def test_leaves_no_trace(model: nn.Module) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = next(model.parameters())
    first.grad = torch.ones_like(first)
    state = torch.get_rng_state()
    grad_cam(model, torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)), np.array([1]))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(p.grad is None for p in list(model.parameters())[1:])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not cam_layer(model)._forward_hooks


def test_frozen_network_has_a_map_too(model: nn.Module) -> None:
    images = torch.randn(2, 3, 64, 64)
    free = grad_cam(model, images, np.array([1, 2]))
    np.testing.assert_allclose(
        grad_cam(model.requires_grad_(requires_grad=False), images, np.array([1, 2])), free, atol=1e-6
    )


def test_values_lie_between_0_and_1(model: nn.Module) -> None:
    maps = grad_cam(model, torch.randn(8, 3, 64, 64), np.arange(8) % 4)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    assert maps.max() <= 1
    assert {float(one.max()) for one in maps} <= {0.0, 1.0}


def test_a_compiled_network_is_explained_without_its_graph(model: nn.Module) -> None:
    images = torch.randn(2, 3, 64, 64)
    free = grad_cam(model, images, np.array([1, 2]))
    model.compile(backend="eager", fullgraph=True)
    with torch.inference_mode():
        model(images)
    np.testing.assert_allclose(grad_cam(model, images, np.array([1, 2])), free, atol=1e-6)
