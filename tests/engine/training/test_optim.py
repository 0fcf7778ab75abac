"""Optimizers and schedules, against torch's own and hand-worked numbers; exact resume."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, PolynomialLR

from engine.recipe import OptimizerTable, ScheduleTable
from engine.training.optim import build_optimizer, build_schedule

OPTIMIZERS = [
    {"name": "adam", "lr": 0.01},
    {"name": "adam", "lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.9)},
    {"name": "adam", "lr": 0.01, "epsilon": 1e-3},
    {"name": "adamw", "lr": 0.01, "weight_decay": 0.1, "epsilon": 1e-3},
    {"name": "sgd", "lr": 0.1},
    {"name": "sgd", "lr": 0.1, "momentum": 0.95, "nesterov": True, "weight_decay": 0.01},
    {"name": "sgd", "lr": 0.1, "momentum": 0.0, "nesterov": True},
]
SCHEDULES = [
    {},
    {"name": "constant", "warmup_epochs": 1.0},
    {"name": "cosine", "warmup_epochs": 0.5, "final_share": 0.01},
    {"name": "polynomial"},
    {"name": "one_cycle"},
]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def step(model, optimizer, schedule, number):
    image = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(number))
    optimizer.zero_grad()
    model(image).square().mean().backward()
    optimizer.step()
    schedule.step()


def rates(table, iterations=20, per_epoch=10, lr=1.0):
    """The learning rate of each optimizer step."""
    optimizer = build_optimizer(OptimizerTable(name="sgd", lr=lr), nn.Linear(1, 1))
    schedule = build_schedule(ScheduleTable(**table), optimizer, iterations=iterations, iterations_per_epoch=per_epoch)
    return _rates(optimizer, schedule, iterations)


def _rates(optimizer, schedule: LRScheduler, iterations):
    found = []
    for _ in range(iterations):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("keys", OPTIMIZERS)
def test_an_optimizer_does_what_torchs_does(keys):
    ours, theirs = network(), network()
    table = OptimizerTable(**keys)
    optimizer = build_optimizer(table, ours)
    common = {"lr": table.lr, "weight_decay": table.weight_decay}
    match table.name:
        case "adam":
            reference = torch.optim.Adam(theirs.parameters(), betas=table.betas, eps=table.epsilon, **common)
        case "sgd":
            nesterov = table.nesterov and table.momentum > 0
            reference = torch.optim.SGD(theirs.parameters(), momentum=table.momentum, nesterov=nesterov, **common)
        case _:
            decayed = [theirs[0].weight, theirs[4].weight]
            others = [theirs[0].bias, theirs[1].weight, theirs[1].bias, theirs[4].bias]
            groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
            reference = torch.optim.AdamW(groups, betas=table.betas, eps=table.epsilon, **common)
    for number in range(5):
        for model, made in ((ours, optimizer), (theirs, reference)):
            image = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(number))
            made.zero_grad()
            model(image).square().mean().backward()
            made.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_frozen_weights_are_left_out():
    model = network()
    model[0].requires_grad_(False)
    optimizer = build_optimizer(OptimizerTable(name="adamw", weight_decay=0.1), model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_change_of_memory_layout_changes_nothing(name):
    """A checkpoint of a channels_last run may go on in the default layout."""
    found = []
    for relayout in (False, True):
        model = network()
        model[1] = nn.Identity()  # behind a batch norm the gradient of a bias is rounding alone
        optimizer = build_optimizer(OptimizerTable(name=name, lr=0.01), model)
        schedule = build_schedule(ScheduleTable(), optimizer, iterations=6, iterations_per_epoch=6)
        for number in range(6):
            if number == 3 and relayout:
                model.to(memory_format=torch.channels_last)
            step(model, optimizer, schedule, number)
        found.append([parameter.detach().clone() for parameter in model.parameters()])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("schedule_keys", SCHEDULES)
@pytest.mark.parametrize("optimizer_keys", OPTIMIZERS)
def test_a_saved_state_goes_on_exactly(optimizer_keys, schedule_keys):
    def make(model):
        optimizer = build_optimizer(OptimizerTable(**optimizer_keys), model)
        table = ScheduleTable(**schedule_keys)
        return optimizer, build_schedule(table, optimizer, iterations=12, iterations_per_epoch=4)

    model = network()
    optimizer, schedule = make(model)
    for number in range(5):
        step(model, optimizer, schedule, number)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict(), schedule.state_dict()], file)
    for number in range(5, 12):
        step(model, optimizer, schedule, number)

    file.seek(0)
    states = torch.load(file, weights_only=True)
    again = network()
    optimizer2, schedule2 = make(again)
    for target, state in zip((again, optimizer2, schedule2), states, strict=True):
        target.load_state_dict(state)
    assert schedule2.get_last_lr() == [group["lr"] for group in optimizer2.param_groups]
    for number in range(5, 12):
        step(again, optimizer2, schedule2, number)
    for mine, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert schedule.state_dict() == schedule2.state_dict()
    assert schedule.get_last_lr() == schedule2.get_last_lr()


def torchs(make, iterations=20):
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    return _rates(optimizer, make(optimizer), iterations)


def test_cosine_is_torchs():
    expected = torchs(lambda optimizer: CosineAnnealingLR(optimizer, T_max=20, eta_min=0.05))
    assert rates({"name": "cosine", "final_share": 0.05}) == pytest.approx(expected)


def test_polynomial_is_torchs():
    expected = torchs(lambda optimizer: PolynomialLR(optimizer, total_iters=20, power=0.9))
    assert rates({"name": "polynomial"}) == pytest.approx(expected)


def test_one_cycle_is_torchs_but_for_the_ends_of_its_phases():
    """torch counts from the first step to the last, so its phases end one step earlier."""
    expected = torchs(
        lambda optimizer: OneCycleLR(
            optimizer, max_lr=1.0, total_steps=1001, cycle_momentum=False, final_div_factor=1e9
        ),
        1000,
    )
    assert rates({"name": "one_cycle"}, 1000) == pytest.approx(expected, abs=0.012)


def test_by_hand():
    assert rates({}, 3) == [1.0, 1.0, 1.0]
    assert rates({"warmup_epochs": 0.4}, 6) == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    polynomial = rates({"name": "polynomial", "power": 2.0, "final_share": 0.2, "warmup_epochs": 0.2}, 6)
    assert polynomial == pytest.approx([0.5, 1.0, 1.0, 0.2 + 0.8 * 0.75**2, 0.2 + 0.8 * 0.25, 0.2 + 0.8 * 0.0625])
    cosine = rates({"name": "cosine"}, 4, lr=0.5)
    assert cosine == pytest.approx([0.5, 0.5 * 0.853553, 0.25, 0.5 * 0.146447], abs=1e-6)


def test_a_warm_up_longer_than_the_training_is_cut():
    assert rates({"name": "cosine", "warmup_epochs": 5.0}, 4, per_epoch=4) == pytest.approx([0.25, 0.5, 0.75, 1.0])


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["constant", "cosine", "polynomial", "one_cycle"]),
    iterations=st.integers(1, 60),
    per_epoch=st.integers(1, 20),
    warmup=st.floats(0, 10),
    final=st.floats(0, 1),
)
def test_rates_stay_in_range_and_end_as_they_should(name, iterations, per_epoch, warmup, final):
    table = {"name": name, "warmup_epochs": warmup} | ({} if name == "constant" else {"final_share": final})
    optimizer = build_optimizer(OptimizerTable(name="sgd", lr=1.0), nn.Linear(1, 1))
    schedule = build_schedule(ScheduleTable(**table), optimizer, iterations=iterations, iterations_per_epoch=per_epoch)
    found = _rates(optimizer, schedule, iterations)
    assert all(0 < rate <= 1 + 1e-9 for rate in found)
    if name != "constant":
        assert optimizer.param_groups[0]["lr"] == pytest.approx(final, abs=1e-9)
        optimizer.step()
        schedule.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(final, abs=1e-9)


def test_every_group_follows():
    optimizer = build_optimizer(OptimizerTable(name="adamw", lr=0.5, weight_decay=0.1), network())
    schedule = build_schedule(ScheduleTable(name="cosine"), optimizer, iterations=2, iterations_per_epoch=1)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.25, 0.25])
    assert copy.deepcopy(schedule.get_last_lr()) == pytest.approx([0.25, 0.25])
