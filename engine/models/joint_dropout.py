"""Dropout in a batch that several processes share."""

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from engine.distributed.sums import drawn_together, group_at_hand, own_of_batch


class JointDropout(nn.Module):
    """A dropout whose masks are drawn for the whole batch, with the channels as the last axis.

    So each process drops of its cases what one process would drop of them, whatever the layout of its share is in
    memory, which decides the order in which torch draws.

    Args:
        dropout: torch's.
    """

    def __init__(self, dropout: _DropoutNd) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, *S)`` of this process to the same shape; B is a multiple of its cases."""
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(features.dim(), torch.contiguous_format)
        alone = not group_at_hand()
        if not self.training or (alone and features.is_contiguous(memory_format=layout)):
            return self.dropout(features)  # type: ignore[no-any-return]
        cases, own = (len(features), slice(None)) if alone else own_of_batch()
        each = len(features) // len(range(cases)[own])
        whole = features.new_ones(cases * each, *features.shape[2:], features.shape[1]).movedim(-1, 1)
        with drawn_together(features.device):
            mask: Tensor = self.dropout(whole)
        return features * mask.view(cases, each, *mask.shape[1:])[own].flatten(0, 1)


def join_dropout(model: nn.Module) -> None:
    """Put a `JointDropout` around each dropout inside ``model``."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, _DropoutNd) and not isinstance(module, JointDropout):
                setattr(module, name, JointDropout(child))
