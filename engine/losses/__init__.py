"""Losses: logits and class indices to one number.

Every loss takes logits ``(B, O, *S)`` and a target ``(B, *S)`` of class indices (int64) and gives a
scalar. ``output`` says what the logits are: ``"sigmoid"`` is one channel, the foreground, with a
target of 0 and 1; ``"softmax"`` is a channel a class (segmentation: the background first). What is not known has one
index more in the target, see `base.ignoring`.

All of them compute in float32 (in float64 when the logits are), also inside autocast, from the
logarithm of the probabilities, and with operations that CUDA has deterministic kernels for.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.errors import misfit
from engine.losses.base import Loss, Output, build, class_weights, ignoring
from engine.losses.cross_entropy import CrossEntropy, log_shares
from engine.losses.dice import Dice
from engine.losses.focal import Focal
from engine.losses.sums import Sum
from engine.losses.terms import Totals, deep_loss, terms_of, totals_of, weight_of
from engine.plugins import load_modules, load_plugins
from engine.recipe.losses import LossTable

load_modules(__name__, __path__)


def build_loss(
    table: LossTable, *, task: str, output: str, labels: int, counts: Sequence[int] | None = None, ignored: bool = False
) -> Loss:
    """The loss of a recipe.

    Args:
        task: "segmentation" or "classification".
        output: "sigmoid" or "softmax", as `engine.models.output_kind` says.
        labels: how many indices the target has (segmentation: with the background).
        counts: voxels or cases of each class in the training split, in the order of the target's
            indices (segmentation: the background first). Needed for ``class_weights = "balanced"``
            and ``logit_adjustment`` only.
        ignored: whether the target may hold the index ``labels``, for what is not known and counts nowhere.

    Raises:
        RecipeError: the loss does not fit the output or cannot ignore, or the weights do not fit the classes.
    """
    load_plugins("medtui.code")
    if output not in ("sigmoid", "softmax"):
        raise ValueError(f'output is "{output}"; it must be "sigmoid" or "softmax"')
    kind: Output = "sigmoid" if output == "sigmoid" else "softmax"
    fitting = LossTable.fitting(task, kind)
    if kind not in table.outputs:
        found = f'found "{table.name}", and the network has a {kind} output'
        raise misfit("loss.name", found, "one of " + ", ".join(fitting))
    if task not in table.tasks:
        raise misfit("loss.name", f'found "{table.name}" with task "{task}"', "one of " + ", ".join(fitting))
    loss = build(table, kind, class_weights(table, labels, counts))
    if isinstance(loss, CrossEntropy) and (tau := getattr(table, "logit_adjustment", 0.0)):
        loss = replace(loss, offsets=log_shares(counts or (), tau))
    return ignoring(loss, labels) if ignored else loss
