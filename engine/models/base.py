"""How networks are registered."""

from functools import singledispatch

from torch import nn

from engine.recipe.models import ModelTable


@singledispatch
def build(table: ModelTable, channels: int, outputs: int, size: tuple[int, ...]) -> nn.Module:
    """The network of a table, whose type decides, with random weights: each registers its own with ``@build.register``.

    Args:
        channels: of the images.
        outputs: channels of the logits.
        size: of the images along each axis, ``data.size``.
    """
    raise NotImplementedError(f"{type(table).__name__} has no code that is registered")
