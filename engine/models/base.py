"""How networks are registered, and what they ask of the size of their input."""

from collections.abc import Sequence
from functools import singledispatch

from torch import nn

from engine.errors import misfit
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


def require_multiples(size: Sequence[int], multiples: Sequence[int], name: str) -> None:
    """Check that each axis of ``size`` is a multiple of what the network needs there.

    Args:
        size: voxels of each axis, ``data.size``.
        multiples: the product of the strides along each axis.
        name: the network, for the message.

    Raises:
        RecipeError: naming the axes that do not fit and the nearest sizes that do.
    """
    if len(size) != len(multiples):
        raise misfit("data.size", f"found {len(size)} numbers", f"{len(multiples)} for {name}")
    wrong = [axis for axis in range(len(size)) if size[axis] % multiples[axis]]
    if not wrong:
        return
    lower = [max(n // m, 1) * m for n, m in zip(size, multiples, strict=True)]
    upper = [-(-n // m) * m for n, m in zip(size, multiples, strict=True)]
    axes = ", ".join(f"axis {axis}: {size[axis]} is no multiple of {multiples[axis]}" for axis in wrong)
    choices = " or ".join(str(list(choice)) for choice in dict.fromkeys((tuple(lower), tuple(upper))))
    raise misfit("data.size", f"found {list(size)} with {name} ({axes})", f"multiples of {list(multiples)}: {choices}")


def require_room(size: Sequence[int], multiples: Sequence[int], name: str) -> None:
    """Check that more than one voxel is left at the bottom of a network: a norm needs two.

    Args and errors are those of `require_multiples`.
    """
    if all(side <= multiple for side, multiple in zip(size, multiples, strict=True)):
        room = f"at least {[2 * m for m in multiples]}, or fewer levels in model.channels"
        raise misfit("data.size", f"found {list(size)} with {name}, whose last level would be a single voxel", room)
