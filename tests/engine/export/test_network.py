"""Every network as ONNX: what it computes is compared with torch when it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.errors import RunError
from engine.export.network import write_network
from engine.models import build_model
from engine.recipe.models import DynUNetTable, EfficientNetTable, ModelTable, ResUNetTable, SegResNetTable, UNet3dTable

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)

TABLES = [
    (ResUNetTable(name="resunet", channels=(8, 16), norm="batch", dropout=0.1), (2, 16, 24)),
    (DynUNetTable(name="dynunet", channels=(8, 16, 16), deep_supervision=True), (1, 16, 16, 16)),
    (SegResNetTable(name="segresnet", channels=(8, 16), norm="group"), (1, 8, 8, 8)),
    (UNet3dTable(name="unet3d", channels=(4, 8)), (1, 8, 8, 8)),
    (UNet3dTable(name="unet3d", channels=(4, 8), upsample="nearest"), (1, 8, 8, 8)),
]


@pytest.mark.parametrize(("table", "shape"), TABLES, ids=lambda value: getattr(value, "name", ""))
def test_every_network_computes_the_same(tmp_path: Path, table: ModelTable, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = build_model(
        table,
        task="segmentation",
        channels=shape[0],
        classes=2,
        spatial_dims=len(shape) - 1,
        size=shape[1:],
        root=tmp_path,
    )
    difference = write_network(tmp_path / "model.onnx", model, shape, table.name)
    assert difference < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]  # the weights are in it


def test_a_classifier_of_odd_sizes_computes_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    table = EfficientNetTable(name="efficientnet_lite0", pretrained=True)
    model = build_model(
        table, task="classification", channels=3, classes=4, spatial_dims=2, size=(50, 77), root=tmp_path
    )
    assert write_network(tmp_path / "model.onnx", model, (3, 50, 77), table.name) < 1e-4


class Wilful(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image if float(image.sum()) > 0 else -image


def test_a_network_that_depends_on_its_values_is_refused_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="wilful cannot be written as ONNX: ") as told:
        write_network(tmp_path / "model.onnx", Wilful(), (1, 4, 4), "wilful")
    assert len(str(told.value).splitlines()) == 2
