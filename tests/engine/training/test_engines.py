from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from engine.device import Device
from engine.errors import RunError
from engine.training.engines import TrainStep, make_trainer, run_trainer
from engine.training.optim import Ema
from engine.training.stream import EpochStream

CPU = Device(torch.device("cpu"), None, channels_last=False)


def make_step(model: nn.Module, lr: float = 0.1, **options) -> TrainStep:
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return TrainStep(
        model=model,
        criterion=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        device=CPU,
        labels=3,
        **options,
    )


def make_batch(n: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(n, 5, generator=generator)
    return {
        "image": image,
        "label": torch.randint(0, 3, (n,), generator=generator),
        "id": [f"case{i}" for i in range(n)],
    }


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(5, 3)


class Batches:
    """Five batches an epoch, each its own number."""

    def __len__(self) -> int:
        return 5

    def epoch(self, epoch: int, first_batch: int = 0):
        for number in range(first_batch, 5):
            yield {
                "image": torch.full((1, 5), float(epoch)),
                "label": torch.tensor([number % 3]),
                "id": [f"{epoch}.{number}"],
            }


def test_accumulated_batches_train_as_one_batch_of_unequal_parts():
    whole, parts = linear(), linear()
    batch = make_batch(7)
    pieces = [{key: value[a:b] for key, value in batch.items()} for a, b in ((0, 4), (4, 7))]
    engine = make_trainer(make_step(whole), EpochStream(Batches(), 1))
    one = make_step(whole)(engine, [batch])
    two = make_step(parts)(engine, pieces)
    assert two.loss == pytest.approx(one.loss, rel=1e-6)
    assert torch.allclose(whole.weight, parts.weight, atol=1e-7)
    assert torch.equal(one.confusion, two.confusion)
    assert int(one.confusion.sum()) == 7


def test_confusion_has_truth_in_rows():
    model = nn.Linear(5, 3)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))  # always predicts 1
    output = make_step(model, lr=1e-9)(make_trainer(make_step(model), EpochStream(Batches(), 1)), [make_batch(9)])
    assert int(output.confusion[:, 1].sum()) == 9
    assert output.confusion.sum(1).tolist() == torch.bincount(make_batch(9)["label"], minlength=3).tolist()


def test_clipping_bounds_the_update_and_reports_the_norm_before_it():
    model = linear()
    before = model.weight.clone()
    batch = make_batch(4)
    batch["image"] *= 1000
    output = make_step(model, lr=1.0, clip_norm=0.5)(make_trainer(make_step(model), EpochStream(Batches(), 1)), [batch])
    moved = math.sqrt(float((model.weight - before).detach().norm()) ** 2)
    assert output.grad_norm > 0.5
    assert moved <= 0.5 + 1e-5


def test_a_nan_names_iteration_and_cases():
    model = linear()
    batch = make_batch(2)
    batch["image"][0, 0] = math.nan
    with pytest.raises(RunError, match=r"NaN at iteration 0.*case0, case1"):
        make_step(model)(make_trainer(make_step(model), EpochStream(Batches(), 1)), [batch])


@pytest.mark.parametrize(("accumulate", "groups"), [(1, 5), (2, 3), (3, 2), (5, 1), (9, 1)])
@pytest.mark.parametrize("done", [0, 1, 3, 4])
def test_the_stream_goes_on_where_the_trainer_is(accumulate, groups, done):
    stream = EpochStream(Batches(), accumulate)
    assert len(stream) == groups
    everything = [[b["id"][0] for b in group] for group, _ in zip(stream, range(8 * groups), strict=False)]
    trainer = make_trainer(make_step(linear()), stream)
    trainer.state.iteration = done
    rest = [[b["id"][0] for b in group] for group, _ in zip(stream, range(2 * groups), strict=False)]
    assert rest == everything[done : done + 2 * groups]
    assert everything[0][0] == "1.0"
    assert everything[groups][0] == "2.0"


def test_a_finished_training_is_not_started_again():
    stream = EpochStream(Batches(), 1)
    model = linear()
    before = model.weight.clone()
    trainer = make_trainer(make_step(model), stream)
    run_trainer(trainer, stream, epochs=2, done=10)
    assert torch.equal(model.weight, before)
    assert trainer.state.iteration == 10


def test_the_average_follows_its_formula():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    ema = Ema(model, 0.5)
    expected = 0.0
    for step in range(1, 30):
        with torch.no_grad():
            model.weight.fill_(float(step))
        ema.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert float(ema.module.weight) == pytest.approx(expected, rel=1e-6)


class Poison(nn.Module):
    """Passes its input on; the gradient that comes back is NaN from the ``bad``-th time on."""

    def __init__(self, bad: int) -> None:
        super().__init__()
        self.bad, self.calls = bad, 0
        self.linear = linear()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        logits = self.linear(x)
        if self.calls >= self.bad:
            logits.register_hook(lambda grad: grad * math.nan)
        return logits


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(clip_norm):
    model = Poison(bad=3)
    step = make_step(model, clip_norm=clip_norm, ema=Ema(model, 0.5))
    engine = make_trainer(step, EpochStream(Batches(), 1))
    assert all(math.isfinite(step(engine, [make_batch(4)]).grad_norm) for _ in range(2))
    before = model.linear.weight.clone()
    with pytest.raises(RunError, match=r"gradient is NaN at iteration 0.*case0, case1"):
        step(engine, [make_batch(2), make_batch(2)])
    assert torch.equal(model.linear.weight, before)
    assert step.ema is not None
    assert step.ema.steps == 2


def test_a_step_that_the_scaler_skips_advances_neither_schedule_nor_average():
    model = Poison(bad=2)
    step = make_step(model, ema=Ema(model, 0.5))
    step.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    engine = make_trainer(step, EpochStream(Batches(), 1))
    step(engine, [make_batch(4)])
    before, done = model.linear.weight.clone(), step.schedule.last_epoch
    assert not math.isfinite(step(engine, [make_batch(4)]).grad_norm)
    assert torch.equal(model.linear.weight, before)
    assert (step.schedule.last_epoch, step.ema.steps, step.scaler.get_scale()) == (done, 1, 2.0)
    step(engine, [make_batch(4)])
    with pytest.raises(RunError, match="gradient is NaN"):  # scaled by 1 it is no better
        step(engine, [make_batch(4)])


def test_the_norm_is_that_of_the_whole_gradient_with_and_without_clipping():
    batch, norms = make_batch(5), []
    for clip_norm in (None, 100.0, 1e-3):
        model = linear()
        step = make_step(model, clip_norm=clip_norm)
        norms.append(step(make_trainer(step, EpochStream(Batches(), 1)), [batch]).grad_norm)
    model = linear()
    nn.CrossEntropyLoss()(model(batch["image"]), batch["label"]).backward()
    wanted = math.hypot(float(model.weight.grad.norm()), float(model.bias.grad.norm()))
    assert norms == pytest.approx([wanted] * 3, rel=1e-6)


def test_weights_that_grow_beyond_numbers_end_the_training():
    step = make_step(linear(), lr=3e38)
    batch = {**make_batch(2), "image": torch.full((2, 5), 1e3)}
    with pytest.raises(RunError, match=r"norm of the weights is infinite at iteration 0 .* case0, case1"):
        step(make_trainer(step, EpochStream(Batches(), 1)), [batch])
