"""The trained network of a run, and its class activation maps. Here, and only here, figures import torch."""

from __future__ import annotations

import contextlib
import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from engine.errors import MedtuiError
from engine.readers.run import FigureError, RunData

if TYPE_CHECKING:
    import torch
    from torch import nn

METHODS = {
    "gradcam": ("GradCAM", "Grad-CAM"),
    "gradcam++": ("GradCAMPlusPlus", "Grad-CAM++"),
    "hirescam": ("HiResCAM", "HiResCAM"),
    "scorecam": ("ScoreCAM", "Score-CAM"),
    "eigencam": ("EigenCAM", "Eigen-CAM"),
    "layercam": ("LayerCAM", "LayerCAM"),
}
"""Recipe name -> class of pytorch-grad-cam, name in papers."""
_PLANAR_ONLY = frozenset({"scorecam", "eigencam"})


NO_PROOF = "Each map has a scale of its own; it is a view of that layer, and no proof of what the network decides by."


class TrainedNetwork:
    """The weights of a run's checkpoint in the network of its recipe; loaded when first used, once.

    Args:
        channels: of the input.
        volumes: whether the input is 3-D: then methods made for images only give way to Grad-CAM.
    """

    def __init__(self, run: RunData, *, channels: int, volumes: bool) -> None:
        self.run = run
        self.channels = channels
        wanted = run.options.cam
        self.method = "gradcam" if volumes and wanted in _PLANAR_ONLY else wanted
        self.remark = "" if self.method == wanted else f"{METHODS[wanted][1]} is made for images: Grad-CAM in its place"

    @property
    def method_name(self) -> str:
        return METHODS[self.method][1]

    @property
    def slow(self) -> bool:
        """Score-CAM asks the network once for every channel of the layer: minutes an image on a CPU."""
        return self.method == "scorecam" and self._device.type == "cpu"

    @cached_property
    def _device(self) -> torch.device:
        import torch

        wanted = self.run.recipe.runtime.device if self.run.recipe else "cpu"
        usable = wanted != "cpu" and torch.cuda.is_available()
        return torch.device(wanted if usable and wanted.startswith("cuda") else "cuda" if usable else "cpu")

    @cached_property
    def _loaded(self) -> tuple[Any, Exception | None]:
        try:
            return self._load(), None
        except FigureError as error:  # kept: every sheet that needs the network says the same
            return None, error

    @property
    def model(self) -> nn.Module:
        """The network, in evaluation mode.

        Raises:
            FigureError: there is no checkpoint, or it does not fit.
        """
        model, error = self._loaded
        if error is not None:
            raise error
        return cast("nn.Module", model)

    def maps(self, inputs: np.ndarray, targets: list[Any]) -> np.ndarray:
        """Class activation maps from 0 to 1.

        Args:
            inputs: float32 (B, C, *N), as the network sees it.
            targets: for each input a function from its output to the scalar that is explained.

        Returns:
            float32 (B, *N).
        """
        import pytorch_grad_cam
        import torch

        from engine.models import cam_layer

        layer = cam_layer(self.model)
        self.model.requires_grad_(False)
        layer.requires_grad_(True)  # gradients are needed from this layer on, and no memory before it
        method = getattr(pytorch_grad_cam, METHODS[self.method][0])
        batch = torch.from_numpy(np.ascontiguousarray(inputs)).to(self._device)
        if not any(True for _ in layer.parameters()):
            batch.requires_grad_()  # a layer without weights gets its gradients from the input's graph
        with contextlib.redirect_stderr(io.StringIO()), method(model=self.model, target_layers=[layer]) as cam:
            maps = cam(input_tensor=batch, targets=targets)
        return np.nan_to_num(np.asarray(maps, dtype=np.float32))

    def _load(self) -> nn.Module:
        from engine.checkpoint import load_checkpoint, load_weights
        from engine.models import build_model

        recipe = self.run.recipe
        if recipe is None:
            raise FigureError("the recipe of this run cannot be read: its network cannot be built")
        path = self._checkpoint()
        table = recipe.model.bare()
        try:
            state = load_checkpoint(path)["model"]
            model = build_model(
                table,
                task=recipe.task,
                channels=self.channels,
                classes=len(self.run.classes),
                spatial_dims=len(recipe.data.size),
                size=recipe.data.size,
                root=self.run.folder.root,
            )
            load_weights(model, state, path.name)
        except MedtuiError as error:
            raise FigureError(error.message) from error
        return model.to(self._device).eval()

    def _checkpoint(self) -> Path:
        folder = self.run.folder
        chosen = self.run.manifest.checkpoint.name
        for path in (folder.last, folder.best) if chosen == "last" else (folder.best, folder.last):
            if path.is_file():
                return path
        raise FigureError("there is no checkpoint: the network's view cannot be drawn")
