"""Losses against hand-worked numbers, torch, MONAI and finite differences."""

from __future__ import annotations

import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss
from torch.nn import functional

from engine.errors import RecipeError
from engine.losses import CrossEntropy, Dice, Focal, Sum, build_loss, class_weights
from engine.recipe import LossTable


def build(name, output="softmax", task=None, counts=None, labels=None, **keys):
    task = task or ("segmentation" if "dice" in name or name == "bce" else "classification")
    labels = labels or (2 if output == "sigmoid" else len(counts) if counts else 3)
    return build_loss(LossTable(name=name, **keys), task=task, output=output, labels=labels, counts=counts)


def volumes(outputs, batch=2, size=(5, 4, 3), seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, outputs, *size, generator=generator, dtype=dtype) * 2
    target = torch.randint(0, max(outputs, 2), (batch, *size), generator=generator)
    return logits, target


# Hand-worked: probabilities of the true class 1/2 and 1/4.
HALF_AND_QUARTER = torch.tensor([[0.0, 0.0], [0.0, math.log(3.0)]]), torch.tensor([0, 0])


def test_cross_entropy_by_hand():
    loss = build("cross_entropy")(*HALF_AND_QUARTER)
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_focal_by_hand():
    loss = build("focal", gamma=2.0)(*HALF_AND_QUARTER)
    assert loss.item() == pytest.approx((0.25 * math.log(2) + 0.5625 * math.log(4)) / 2)


def test_the_sum_by_hand():
    loss = build("cross_entropy_focal", gamma=2.0, weights=(2.0, 0.5))(*HALF_AND_QUARTER)
    entropy = (math.log(2) + math.log(4)) / 2
    focal = (0.25 * math.log(2) + 0.5625 * math.log(4)) / 2
    assert loss.item() == pytest.approx(2 * entropy + 0.5 * focal)


def test_bce_by_hand():
    logits = torch.tensor([0.0, math.log(3.0)]).reshape(1, 1, 2)
    loss = build("bce", "sigmoid")(logits, torch.tensor([[1, 0]]))
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_dice_by_hand():
    # p = 1/2, 3/4 and 0 almost; g = 1, 0, 0: 1 - 2 * 0.5 / (1.25 + 1).
    logits = torch.tensor([0.0, math.log(3.0), -50.0]).reshape(1, 1, 3)
    loss = build("dice", "sigmoid", smooth=0.0)(logits, torch.tensor([[1, 0, 0]]))
    assert loss.item() == pytest.approx(1 - 1 / 2.25)


def test_dice_is_the_mean_over_cases_unless_the_batch_is_one_volume():
    logits = torch.tensor([[[60.0, 60.0, -60.0, -60.0]], [[60.0, -60.0, -60.0, -60.0]]])
    target = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0]])
    each = build("dice", "sigmoid", smooth=0.0)(logits, target)
    whole = build("dice", "sigmoid", smooth=0.0, batch_dice=True)(logits, target)
    assert each.item() == pytest.approx((0 + 1) / 2)
    assert whole.item() == pytest.approx(1 - 2 * 2 / 7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_torchs(smoothing, weighted):
    logits, target = volumes(3)
    weights = (0.5, 2.0, 1.5) if weighted else None
    expected = functional.cross_entropy(
        logits, target, torch.tensor(weights) if weights else None, label_smoothing=smoothing
    )
    torch.testing.assert_close(CrossEntropy("softmax", weights, smoothing)(logits, target), expected)


@pytest.mark.parametrize("weights", [(0.0, 2.0, 1.5), (0.0, 0.0, 1.0)])
def test_cases_that_all_weigh_nothing_cost_nothing(weights):
    logits, target = torch.randn(4, 3, requires_grad=True), torch.zeros(4, dtype=torch.long)
    loss = CrossEntropy("softmax", weights)(logits, target)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(4, 3))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, (0.3, 2.0)])
def test_one_sigmoid_is_a_softmax_over_zero_and_the_logit(smoothing, weights):
    logits, target = volumes(1)
    both = torch.cat((torch.zeros_like(logits), logits), 1)
    torch.testing.assert_close(
        CrossEntropy("sigmoid", weights, smoothing)(logits, target),
        CrossEntropy("softmax", weights, smoothing)(both, target),
    )
    torch.testing.assert_close(
        Focal("sigmoid", weights, 1.5)(logits, target), Focal("softmax", weights, 1.5)(both, target)
    )


@pytest.mark.parametrize("weights", [None, (1.0, 3.0, 0.2)])
def test_focal_with_gamma_0_is_cross_entropy(weights):
    logits, target = volumes(3)
    torch.testing.assert_close(
        Focal("softmax", weights, 0.0)(logits, target), CrossEntropy("softmax", weights)(logits, target)
    )


@pytest.mark.parametrize("batch_dice", [False, True])
@pytest.mark.parametrize(("outputs", "background"), [(1, False), (3, False), (3, True)])
def test_dice_is_monais(outputs, background, batch_dice):
    logits, target = volumes(outputs)
    output = "sigmoid" if outputs == 1 else "softmax"
    theirs = DiceLoss(
        sigmoid=outputs == 1,
        softmax=outputs > 1,
        to_onehot_y=outputs > 1,
        include_background=background or outputs == 1,
        batch=batch_dice,
    )
    ours = Dice(output, None, background, batch_dice)
    torch.testing.assert_close(ours(logits, target), theirs(logits, target.unsqueeze(1)))


def test_dice_weighs_classes():
    logits, target = volumes(3)
    parts = [DiceLoss(softmax=True, to_onehot_y=True, reduction="none")(logits, target.unsqueeze(1))]
    by_class = parts[0].flatten(1).mean(0)
    loss = Dice("softmax", (9.0, 1.0, 2.0), include_background=True)(logits, target)
    assert loss.item() == pytest.approx(((9 * by_class[0] + by_class[1] + 2 * by_class[2]) / 12).item())
    foreground = Dice("softmax", (9.0, 1.0, 2.0))(logits, target)
    assert foreground.item() == pytest.approx(((by_class[1] + 2 * by_class[2]) / 3).item())


def test_nothing_there_and_nothing_predicted_costs_nothing():
    logits, target = torch.full((1, 1, 4), -200.0), torch.zeros(1, 4, dtype=torch.long)
    for smooth in (0.0, 1e-5, 1.0):
        assert Dice("sigmoid", smooth=smooth)(logits, target).item() == pytest.approx(0.0, abs=1e-6)


LOSSES = [
    ("cross_entropy", "softmax", {}),
    ("cross_entropy", "softmax", {"label_smoothing": 0.2, "class_weights": (1.0, 2.0, 0.5)}),
    ("focal", "softmax", {"gamma": 2.0}),
    ("focal", "softmax", {"gamma": 0.5, "class_weights": (1.0, 2.0, 0.5)}),
    ("cross_entropy_focal", "softmax", {}),
    ("bce", "sigmoid", {}),
    ("bce", "sigmoid", {"class_weights": (0.6, 3.0), "label_smoothing": 0.1}),
    ("dice", "sigmoid", {}),
    ("dice", "softmax", {"include_background": True, "batch_dice": True}),
    ("dice", "softmax", {"class_weights": (1.0, 2.0, 3.0)}),
    ("dice_ce", "softmax", {"weights": (1.0, 0.5)}),
    ("dice_ce", "sigmoid", {}),
    ("dice_bce", "sigmoid", {"smooth": 1.0}),
]


@pytest.mark.parametrize(("name", "output", "keys"), LOSSES)
def test_gradients_are_those_of_finite_differences(name, output, keys):
    logits, target = volumes(1 if output == "sigmoid" else 3, size=(3, 2, 2), dtype=torch.float64)
    loss = build(name, output, counts=None, **keys)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


@pytest.mark.parametrize(("name", "output", "keys"), LOSSES)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_logits_stay_finite(name, output, keys, size):
    outputs = 1 if output == "sigmoid" else 3
    logits = torch.zeros(2, outputs, 2, 2, 2)
    logits[:, -1] = size
    logits.requires_grad_()
    target = torch.zeros(2, 2, 2, 2, dtype=torch.long)
    target[0, 0] = 1
    loss = build(name, output, **keys)(logits, target)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(("name", "output", "keys"), LOSSES)
def test_a_step_downhill_lowers_the_loss(name, output, keys):
    logits, target = volumes(1 if output == "sigmoid" else 3)
    logits.requires_grad_()
    loss = build(name, output, **keys)
    first = loss(logits, target)
    (slope,) = torch.autograd.grad(first, logits)
    assert loss(logits - 0.1 * slope / slope.norm(), target) < first


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    outputs=st.integers(1, 4),
    scale=st.floats(0.0, 50.0),
    smooth=st.floats(0.0, 10.0),
    batch_dice=st.booleans(),
)
def test_bounds(seed, outputs, scale, smooth, batch_dice):
    logits, target = volumes(outputs, seed=seed)
    logits = logits * scale
    output = "sigmoid" if outputs == 1 else "softmax"
    dice = Dice(output, smooth=smooth, batch_dice=batch_dice)(logits, target)
    assert -1e-6 <= dice.item() <= 1 + 1e-6
    entropy = CrossEntropy(output)(logits, target)
    focal = Focal(output, gamma=2.0)(logits, target)
    assert 0 <= focal.item() <= entropy.item() * (1 + 1e-5) + 1e-6


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), outputs=st.integers(1, 4))
def test_the_truth_itself_costs_nothing(seed, outputs):
    _, target = volumes(outputs, seed=seed)
    if outputs == 1:
        logits = (target * 2 - 1).float().unsqueeze(1) * 100
        output = "sigmoid"
    else:
        logits = functional.one_hot(target, outputs).movedim(-1, 1).float() * 100
        output = "softmax"
    for loss in (Dice(output), CrossEntropy(output), Focal(output)):
        assert loss(logits, target).item() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(("name", "output", "keys"), LOSSES)
def test_full_precision_inside_autocast(name, output, keys):
    logits, target = volumes(1 if output == "sigmoid" else 3)
    half = logits.bfloat16()
    loss = build(name, output, **keys)
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(half, target)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, loss(half.float(), target))


@pytest.mark.parametrize(("name", "output", "keys"), LOSSES)
def test_memory_layout_makes_no_difference(name, output, keys):
    logits, target = volumes(1 if output == "sigmoid" else 3)
    loss = build(name, output, **keys)
    other = logits.contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(loss(other, target), loss(logits, target))


def test_balanced_weights_are_scikit_learns():
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    targets = np.array([0] * 5 + [1] * 20 + [2] * 75)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    table = LossTable(name="cross_entropy", class_weights="balanced")
    assert class_weights(table, 3, [5, 20, 75]) == pytest.approx(expected.tolist())
    assert class_weights(table, 3, [5, 0, 5]) == pytest.approx((2 / 3, 0.0, 2 / 3))


def test_balanced_weights_reach_the_loss():
    logits, target = volumes(3)
    loss = build("dice_ce", counts=[90, 9, 1], class_weights="balanced", weights=(0.0, 1.0))
    expected = functional.cross_entropy(logits, target, torch.tensor([100 / 270, 100 / 27, 100 / 3]))
    torch.testing.assert_close(loss(logits, target), expected)
    with pytest.raises(ValueError, match="counts"):
        build("cross_entropy", class_weights="balanced")


@pytest.mark.parametrize(
    ("name", "output", "counts", "keys", "key"),
    [
        ("bce", "softmax", None, {}, "loss.name"),
        ("dice_bce", "softmax", None, {}, "loss.name"),
        ("dice", "sigmoid", None, {"include_background": True}, "loss.include_background"),
        ("dice", "sigmoid", None, {"class_weights": (1.0, 2.0)}, "loss.class_weights"),
        ("bce", "sigmoid", None, {"class_weights": (1.0, 2.0, 3.0)}, "loss.class_weights"),
        ("cross_entropy", "softmax", [5, 5, 5], {"class_weights": (1.0, 2.0)}, "loss.class_weights"),
        ("cross_entropy", "softmax", None, {"class_weights": (1.0, 2.0)}, "loss.class_weights"),
        ("dice", "softmax", None, {"class_weights": (1.0, 2.0, 3.0, 4.0, 5.0)}, "loss.class_weights"),
    ],
)
def test_what_does_not_fit_is_refused(name, output, counts, keys, key):
    with pytest.raises(RecipeError) as caught:
        build(name, output, counts=counts, **keys)
    assert caught.value.problems[0].key == key


def test_dice_is_for_segmentation():
    with pytest.raises(RecipeError):
        build("dice_ce", task="classification")
    with pytest.raises(ValueError, match="output"):
        build("dice", "logits")


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(B, \*S\)"):
        Dice("sigmoid")(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.long))


def test_a_sum_is_weighted():
    loss = Sum(lambda _x, _y: torch.tensor(3.0), lambda _x, _y: torch.tensor(5.0), (2.0, 10.0))
    assert loss(torch.zeros(1), torch.zeros(1)).item() == 56.0


def test_dice_is_no_slower_than_monais():
    logits = torch.randn(2, 1, 112, 112, 80, requires_grad=True)
    target = torch.randint(0, 2, (2, 112, 112, 80))
    ours, theirs = Dice("sigmoid"), DiceLoss(sigmoid=True)
    ratios = []
    for _ in range(9):
        spent = []
        for step in (lambda: ours(logits, target), lambda: theirs(logits, target.unsqueeze(1))):
            begin = time.process_time()
            step().backward()
            spent.append(time.process_time() - begin)
        ratios.append(spent[0] / spent[1])
    # Half as much again: room for the noise of a busy machine, not for a slow loss.
    assert sorted(ratios)[len(ratios) // 2] < 1.5


def test_logit_adjustment_by_hand():
    """Menon et al. 2021, equation 10: softmax over f + tau log prior."""
    logits, target = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.3, -1.0]]), torch.tensor([2, 0])
    loss = build("cross_entropy", counts=[60, 30, 10], logit_adjustment=1.5)
    by_hand = 0.0
    for row, truth in zip(logits.tolist(), target.tolist(), strict=True):
        scores = [math.exp(f) * prior**1.5 for f, prior in zip(row, (0.6, 0.3, 0.1), strict=True)]
        by_hand -= math.log(scores[truth] / sum(scores)) / 2
    assert loss(logits, target).item() == pytest.approx(by_hand, abs=1e-6)
    same = build("cross_entropy", counts=[5, 5, 5], logit_adjustment=1.0)
    assert same(logits, target).item() == pytest.approx(build("cross_entropy")(logits, target).item(), abs=1e-6)
    assert build("cross_entropy", counts=[3, 0, 3], logit_adjustment=1.0)(logits, target).isfinite()
