"""Grad-CAM on a network that is still being trained: nothing of its gradients, modes or weights is touched.

The figures of a finished run use pytorch-grad-cam, which collects gradients in the parameters; here the
gradient is asked for at one layer only, so that a validation between two steps leaves no trace.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from engine.data.read import Floats
from engine.data.resampling import resample
from engine.evaluation.inference import Predictor
from engine.models import cam_layer


def grad_cam(model: nn.Module, images: Tensor, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """What of each image speaks for a class: Selvaraju et al. 2017 at the network's last feature layer.

    Args:
        model: a classifier of `engine.models`, in evaluation mode; ``(B, C, *S)`` to logits ``(B, K)``.
        images: float32 (B, C, *S), on the network's device.
        labels: int64 (B,), the class to explain of each image.

    Returns:
        float32 (B, *s) from 0 to 1 on the layer's grid; 0 where nothing speaks for the class.
    """
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        # A frozen network makes features without a graph: it begins here then.
        features = output if output.requires_grad else output.detach().requires_grad_()
        kept.append(features)
        return features

    handle = cam_layer(model).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = model.forward(images)  # not the call: what is compiled has no place for a hook
            chosen = torch.as_tensor(labels, device=logits.device)[:, None]
            (gradient,) = torch.autograd.grad(logits.gather(1, chosen).sum(), kept[-1])
    finally:
        handle.remove()
    features = kept[-1].detach().float()
    weights = gradient.float().flatten(2).mean(2).reshape(*gradient.shape[:2], *[1] * (gradient.ndim - 2))
    maps = (weights * features).sum(1).relu()
    top = maps.flatten(1).amax(1).reshape(-1, *[1] * (maps.ndim - 1))
    scaled: NDArray[np.float32] = torch.where(top > 0, maps / top, 0.0).cpu().numpy()
    return np.nan_to_num(scaled)


def explain(predictor: Predictor, image: Floats, label: int) -> Floats:
    """`grad_cam` of ``image`` (C, *S), as the network sees it, with the weights of ``predictor``: (*s) from 0 to 1."""
    predictor.model.eval()
    batch = predictor.device.move(torch.from_numpy(image[None]))
    (heat,) = grad_cam(predictor.model, batch, np.array([label]))
    return np.asarray(heat)


def enlarged(heat: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A map (*s) from 0 to 1 on the pixels or voxels of an image of ``shape`` (*S), 0 to 255."""
    if len(shape) == 3:
        return (resample(heat, shape).clip(0, 1) * 255).round().astype(np.uint8)
    larger = Image.fromarray(heat).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(np.clip(np.asarray(larger), 0, 1) * 255, np.float32).round().astype(np.uint8)
