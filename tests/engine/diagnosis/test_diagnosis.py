"""Each finding: in time, alone, on live and on finished runs, and gone when its cause is."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import structs

from engine import events as ev
from engine.diagnosis import CODES, Finding
from engine.readers.fold import fold
from engine.readers.health import findings_of
from engine.readers.run_view import EMPTY
from engine.recipe.model import FAMILIES, TABLES
from engine.runfolder import Status
from tests.engine.diagnosis import streams
from tests.engine.diagnosis.streams import SKIN, Moment, Plan, stream

KEYS = {
    name: {key for kind in (table, *getattr(FAMILIES.get(name), "members", {}).values()) for key in kind.model_fields}
    for name, table in TABLES.items()
}
SEGMENTATION, SKINS = Plan(), Plan(task="classification", classes=SKIN, top=0.8, cases=84)
PLANS = {
    "long": Plan(epochs=60, per_epoch=7, onset=25),
    "sparse": Plan(epochs=60, per_epoch=10, every=4, onset=25),
    "short": Plan(epochs=12, per_epoch=20, onset=6),
    "few steps": Plan(epochs=40, per_epoch=4, onset=15),
    "two structures": Plan(classes=("anterior", "posterior"), seed=4),
    "skin": SKINS,
    "two classes": Plan(task="classification", classes=("no", "yes"), top=0.9, cases=40, seed=2),
}
FAULTS: list[tuple[str, streams.Fault, str]] = [
    ("diverging", streams.diverging, "long sparse short skin"),
    ("diverging", streams.doubling, "long short skin"),
    ("diverging", streams.collapsing, "long sparse"),
    ("gradient_exploding", streams.exploding, "long sparse short skin"),
    ("overfitting", streams.overfitting, "long skin"),
    ("class_never_predicted", streams.missing_class, "two structures/skin/two classes"),
    ("at_chance", streams.guessing, "skin/two classes"),
    ("case_always_bad", streams.bad_case, "long short/two structures"),
    ("loader_bound", streams.slow_loader, "long short/few steps/skin"),
    ("slowed_down", streams.slow_steps, "long short/few steps/skin"),
    ("memory_low", streams.full_memory, "long short"),
    ("disk_low", streams.full_disk, "long skin"),
]
CASES = [
    pytest.param(code, replace(PLANS[name], fault=fault), id=f"{code}-{fault.__name__}-{name}")
    for code, fault, names in FAULTS
    for name in PLANS
    if name in names
]


def looks(plan: Plan, last: int = 10**6, every: int = 5) -> list[tuple[ev.Event, tuple[Finding, ...]]]:
    """The findings of a live run after each validation and ``every`` steps, up to the epoch ``last``."""
    view, waiting, found = EMPTY, [], []
    for event in itertools.takewhile(lambda event: getattr(event, "epoch", 0) <= last, stream(plan)):
        waiting.append(event)
        if isinstance(event, ev.Validation) or (isinstance(event, ev.Iteration) and event.iteration % every == 0):
            view, waiting = fold(view, waiting), []
            found.append((event, findings_of(view, Status(state="running"), event.time_s)))
    return found


def finished(plan: Plan) -> tuple[Finding, ...]:
    events = list(stream(plan))
    end = ev.RunEnded(state="finished", seq=len(events) + 1, time_s=events[-1].time_s)
    return findings_of(fold(EMPTY, [*events, end]), Status(state="finished"), end.time_s + 1e6)


def codes(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in findings}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", PLANS)
def test_nothing_is_said_of_healthy_runs(name, seed):
    plan = replace(PLANS[name], seed=seed, noise=0.01 + 0.01 * (seed % 3), timed=seed != 5)
    assert [(event, found) for event, found in looks(plan) if found] == []
    assert finished(plan) == ()


@pytest.mark.parametrize(("code", "plan"), CASES)
def test_a_finding_comes_in_time_alone_and_stays_to_the_end(code, plan):
    for event, found in looks(plan):
        assert codes(found) <= {code}
        begun, steps = event.epoch - plan.onset, (event.epoch - plan.onset) * plan.per_epoch
        if begun > 2 * plan.every + 1 or (code in {"loader_bound", "slowed_down", "diverging"} and steps > 20):
            assert codes(found) == {code}, f"not said {begun} epochs after the onset"
            assert abs(found[0].since_epoch - plan.onset) <= max(plan.every, 2 + 20 // plan.per_epoch)
    assert codes(finished(plan)) == {code}
    (finding,) = finished(plan)
    assert finding.code in CODES
    assert finding.severity in {"error", "warning", "note"}
    assert all((finding.message, finding.evidence, finding.remedy, finding.key))
    named = re.findall(r"\b([a-z]+)\.([a-z_]+)", re.sub(r"\w+\.(pt|log)\b", "", finding.remedy))
    assert all(key in KEYS[table] for table, key in named), finding.remedy


def test_steps_on_growing_pictures_do_not_slow_down():
    plan = replace(PLANS["skin"], epochs=30, per_epoch=20)
    grown = [
        structs.replace(event, step_s=event.step_s * (0.05 + 0.95 * min(1.0, (event.epoch - 1) / 20)))
        if isinstance(event, ev.Iteration)
        else structs.replace(event, full_size=21)
        if isinstance(event, ev.RunStarted)
        else event
        for event in stream(plan)
    ]
    now = grown[-1].time_s
    assert findings_of(fold(EMPTY, grown), Status(state="running"), now) == ()
    unsaid = [structs.replace(grown[0], full_size=1), *grown[1:]]
    assert codes(findings_of(fold(EMPTY, unsaid), Status(state="running"), now)) == {"slowed_down"}


@pytest.mark.parametrize("name", ["long", "sparse"])
def test_a_plateau_is_said_when_a_tenth_of_the_run_brought_nothing(name):
    plan = replace(PLANS[name], fault=streams.standing, top=0.6, epochs=80, onset=30)
    wait = max(5, 8 // plan.every) * plan.every
    for event, found in looks(plan):
        assert codes(found) <= {"plateau"}
        if event.epoch > plan.onset + wait + plan.every:
            assert codes(found) == {"plateau"}
    assert codes(finished(plan)) == {"plateau"}


def cut(epoch: int, onset: int) -> tuple[float, float]:
    """(Dice, loss) of a straight progress that ends at ``onset``."""
    done = min(epoch, onset) / onset
    return 0.1 + 0.5 * done, 1.2 - 0.6 * done


JUMPS = (1, -0.6, -1, 0.4, 0.9, -0.7)


def rising(validations: int, curve: Callable[[int], tuple[float, float]], jump: float) -> list[ev.Event]:
    """A run of a hundred epochs of which ``curve`` gives Dice and losses; they jump to and fro by ``jump``."""
    events: list[ev.Event] = [ev.RunStarted(name="a", task="segmentation", epochs=100, monitor="dice")]
    for epoch in range(1, validations + 1):
        off = jump * JUMPS[epoch % 6]
        dice, loss = curve(epoch)
        events += [
            ev.Iteration(iteration=epoch, epoch=epoch, loss=loss, lr=1e-3),
            ev.EpochDone(epoch=epoch, iteration=epoch, metrics={"loss": loss * (1 - off)}),
            ev.Validation(epoch=epoch, iteration=epoch, metrics={"dice": dice + off, "loss": loss * (1.1 + off)}),
        ]
    return [structs.replace(event, seq=at, time_s=float(at)) for at, event in enumerate(events, 1)]


@pytest.mark.parametrize(("jump", "wait"), [(0.002, 2), (0.01, 2), (0.025, 4)])
def test_a_steady_progress_that_ends_at_once_is_a_plateau_as_soon_as_its_noise_allows(jump, wait):
    for seen in range(1, 31):
        found = findings_of(fold(EMPTY, rising(seen, lambda epoch: cut(epoch, 20), jump)), Status(state="running"), 0.0)
        assert codes(found) == ({"plateau"} if seen >= 20 + wait else set()), seen
        assert not found or found[0].since_epoch == pytest.approx(20, abs=2)


@pytest.mark.parametrize("jump", [0.002, 0.005, 0.01])
def test_a_progress_that_slows_down_is_no_plateau(jump):
    def slower(epoch: int) -> tuple[float, float]:
        return 0.8 - 0.7 * math.exp(-epoch / 20), 0.4 + 0.8 * math.exp(-epoch / 20)

    for seen in range(1, 61):
        assert findings_of(fold(EMPTY, rising(seen, slower, jump)), Status(state="running"), 0.0) == ()


@pytest.mark.parametrize("jump", [0.0005, 0.01])
def test_a_validation_loss_that_rises_by_2_percent_is_overfitting_at_the_third(jump):
    """Its jumps to and fro have 0.0077 at most: a line through four of them is sure to 0.0034, a sixth of its rise."""

    def turned(epoch: int) -> tuple[float, float]:
        return 0.7 - 0.4 * 0.8 ** min(epoch, 12), 0.3 + 0.8 * 0.8**epoch

    for seen in range(2, 25):
        events = [
            structs.replace(event, metrics={**event.metrics, "loss": 0.4 * 1.02 ** (event.epoch - 12) * (1 + off)})
            if isinstance(event, ev.Validation) and event.epoch > 12
            else event
            for event in rising(seen, turned, jump)
            for off in [jump * JUMPS[getattr(event, "epoch", 0) % 6]]
        ]
        found = codes(findings_of(fold(EMPTY, events), Status(state="running"), 0.0))
        assert ("overfitting" in found) == (seen >= 12 + 3), seen
        assert jump > 0.001 or len(found) == (seen >= 12 + 3), seen  # in noise it may be a plateau first


def test_training_losses_between_sparse_validations_tell_of_a_plateau_too():
    """Validations every fourth epoch; the training losses of single epochs jump by 5 %."""
    for seen in range(4, 61, 4):
        events = [
            structs.replace(event, metrics={"loss": event.metrics["loss"] * (1 + 0.05 * (-1) ** (event.epoch % 7))})
            if isinstance(event, ev.EpochDone)
            else event
            for event in rising(seen, lambda epoch: cut(epoch, 40), 0.015)
            if not isinstance(event, ev.Validation) or event.epoch % 4 == 0
        ]
        found = codes(findings_of(fold(EMPTY, events), Status(state="running"), 0.0))
        assert found == ({"plateau"} if seen >= 40 + 2 * 4 else set()), seen


@pytest.mark.parametrize("jump", [0.002, 0.005, 0.01])
def test_a_late_steep_progress_that_slows_down_is_no_plateau_while_it_is_not_done(jump):
    """A logistic curve around epoch 15: at epoch 29 three hundredths of its way are left."""

    def curve(epoch: int) -> tuple[float, float]:
        done = 1 / (1 + math.exp(-(epoch - 15) / 4))
        return 0.1 + 0.73 * done, 1.2 - 0.8 * done

    for seen in range(1, 30):
        assert findings_of(fold(EMPTY, rising(seen, curve, jump)), Status(state="running"), 0.0) == ()


@pytest.mark.parametrize("missing", ["epochs", "steps", "monitor", "validation loss"])
def test_a_stream_that_lacks_a_part_has_its_plateau_found_by_the_others(missing):
    for seen in range(20, 31):
        events = [
            structs.replace(event, monitor="")
            if missing == "monitor" and isinstance(event, ev.RunStarted)
            else structs.replace(event, metrics={"dice": event.metrics["dice"]})
            if missing == "validation loss" and isinstance(event, ev.Validation)
            else event
            for event in rising(seen, lambda epoch: cut(epoch, 20), 0.002)
            if not isinstance(event, {"epochs": ev.EpochDone, "steps": ev.Iteration}.get(missing, ev.Note))
        ]
        found = codes(findings_of(fold(EMPTY, events), Status(state="running"), 0.0))
        assert found == ({"plateau"} if seen >= 22 else set()), seen


@pytest.mark.parametrize("jump", [0.0, 0.001])
def test_a_curve_that_surely_flattens_in_the_first_half_is_a_plateau_and_stays_one(jump):
    """With a time constant of 4 epochs 2 % of the way are left after 16; 100 are planned."""

    def soft(epoch: int) -> tuple[float, float]:
        left = math.exp(-epoch / 4)
        return 0.7 - 0.6 * left, 0.5 + 0.7 * left

    seen = [codes(findings_of(fold(EMPTY, rising(n, soft, jump)), Status(state="running"), 0.0)) for n in range(1, 61)]
    said = seen.index({"plateau"})
    assert 11 <= said <= 21
    assert (seen[:said], seen[said:]) == ([set()] * said, [{"plateau"}] * (60 - said))


def test_one_odd_validation_takes_no_plateau_back_and_progress_does():
    def goes_on(epoch: int) -> tuple[float, float]:
        dice, loss = cut(epoch, 20)
        more = max(0, epoch - 40)
        return dice + 0.02 * more + 0.03 * (epoch == 30), loss * 0.95**more

    for seen in range(23, 46):
        found = codes(findings_of(fold(EMPTY, rising(seen, goes_on, 0.002)), Status(state="running"), 0.0))
        assert seen in (41, 42) or found == ({"plateau"} if seen <= 40 else set()), seen


def test_a_dice_that_still_creeps_up_hides_no_validation_loss_that_has_turned():
    """Dice has 8 % of its way before it at the turn of epoch 12; the loss rises by 4 % a validation."""

    def creeps(epoch: int) -> tuple[float, float]:
        return 0.7 - 0.6 * math.exp(-epoch / 4.8), 0.3 + 0.8 * 0.8**epoch

    for seen in range(2, 25):
        events = [
            structs.replace(event, metrics={**event.metrics, "loss": 0.4 * 1.04 ** abs(event.epoch - 12)})
            if isinstance(event, ev.Validation)
            else event
            for event in rising(seen, creeps, 0.0005)
        ]
        found = codes(findings_of(fold(EMPTY, events), Status(state="running"), 0.0))
        assert found == ({"overfitting"} if seen >= 12 + 3 else set()), seen


def test_a_validation_loss_that_is_as_good_as_none_may_double():
    events = [
        structs.replace(event, metrics={"dice": 0.99, "loss": 1e-3 * 1.2 ** (event.epoch - 12)})
        if isinstance(event, ev.Validation) and event.epoch > 12
        else event
        for event in rising(20, lambda epoch: (0.99, 0.5**epoch), 0.0)
    ]
    assert findings_of(fold(EMPTY, events), Status(state="running"), 0.0) == ()


def test_a_network_that_learns_while_its_running_averages_lag_is_no_guessing():
    """Four steps an epoch: the training loss falls, the loss of validation is far above ln 7 and falls later."""

    def lags(now: Moment) -> None:
        streams.guessing(now)
        now.loss, now.val_loss = math.log(7) * 0.8**now.epoch, 3 * math.log(7)

    plan = replace(SKINS, epochs=60, per_epoch=4, onset=1, end=5, fault=lags)
    assert [found for _, found in looks(plan, 12) if found] == []


@pytest.mark.parametrize(
    ("per_epoch", "falls", "said"), [(60, 1.0, 3), (15, 1.0, 3), (60, 0.93, None), (4, 1.0, 3), (3, 1.0, 4)]
)
def test_guessing_from_the_start_is_said_at_the_third_validation_unless_the_losses_fall(per_epoch, falls, said):
    def untrained(now: Moment) -> None:
        streams.guessing(now)
        now.loss = now.val_loss = math.log(7) * falls**now.epoch

    plan = replace(SKINS, epochs=60, per_epoch=per_epoch, onset=1, fault=untrained)
    seen = [event.epoch for event, found in looks(plan, 12) if codes(found) == {"at_chance"}]
    assert (min(seen) if seen else None) == said


def classified(
    validations: int, curve: Callable[[int], tuple[float, float, float]], lr: Callable[[int], float] = lambda _: 1e-3
) -> list[ev.Event]:
    """A run of 40 epochs of 40 steps on three classes of 20 cases; ``curve`` gives accuracy, AUC and the losses."""
    events: list[ev.Event] = [
        ev.RunStarted(name="a", task="classification", classes=["a", "b", "c"], epochs=40, iterations_per_epoch=40)
    ]
    events[0] = structs.replace(events[0], cases={"validation": 60}, monitor="balanced_accuracy")
    for epoch in range(1, validations + 1):
        accuracy, auc, loss = curve(epoch)
        events += [
            ev.Iteration(
                iteration=40 * (epoch - 1) + n,
                epoch=epoch,
                loss=loss * (1 + 0.1 * JUMPS[n % 6]),
                lr=lr(40 * epoch + n),
            )
            for n in range(1, 41)
        ]
        events.append(
            ev.Validation(
                epoch=epoch,
                iteration=40 * epoch,
                metrics={"loss": loss * (1 + 0.002 * JUMPS[epoch % 6]), "balanced_accuracy": accuracy, "auc": auc},
                per_class={name: {"recall": accuracy, "support": 20.0} for name in "abc"},
            )
        )
    return [structs.replace(event, seq=at, time_s=float(at)) for at, event in enumerate(events, 1)]


def chances(events: list[ev.Event]) -> set[str]:
    return codes(findings_of(fold(EMPTY, events), Status(state="running"), 0.0))


@pytest.mark.parametrize(("falls", "said"), [(0.99, set()), (1.0, {"at_chance"})])
def test_losses_that_fall_slowly_and_surely_are_a_beginning(falls, said):
    for seen in range(6, 11):
        assert chances(classified(seen, lambda epoch: (1 / 3, 0.5, 1.1 * falls**epoch))) == said, seen


def test_one_odd_validation_is_no_end_of_guessing_and_two_good_ones_are():
    accuracies = [1 / 3] * 12 + [0.56] + [1 / 3] * 3 + [0.8] * 3

    def curve(epoch: int) -> tuple[float, float, float]:
        accuracy = accuracies[epoch - 1]
        return accuracy, 0.9 if accuracy == 0.8 else 0.5, 0.5 if accuracy == 0.8 else 1.1

    for seen in range(5, 20):
        assert seen == 17 or chances(classified(seen, curve)) == ({"at_chance"} if seen <= 16 else set()), seen


def test_a_network_whose_learning_rate_still_rises_has_a_tenth_of_the_run_to_begin():
    seen = [chances(classified(n, lambda _: (1 / 3, 0.5, 1.1), lambda n: 1e-5 * n)) for n in range(1, 8)]
    assert seen == [set()] * 4 + [{"at_chance"}] * 3


def test_a_classifier_that_falls_back_to_guessing_is_at_chance_and_does_not_diverge():
    def collapses(epoch: int) -> tuple[float, float, float]:
        return (0.9, 0.97, 0.2) if 1 < epoch < 10 else (1 / 3, 0.5, 1.1)

    seen = [chances(classified(n, collapses)) for n in range(9, 16)]
    assert seen == [set()] * 2 + [{"at_chance"}] * 5


SUDDEN = [
    ("class_never_predicted", streams.missing_class, PLANS["two structures"]),
    ("class_never_predicted", streams.missing_class, replace(SKINS, cases=100)),
    ("at_chance", streams.guessing, SKINS),
    ("case_always_bad", streams.bad_case, PLANS["long"]),
]


@pytest.mark.parametrize(("before", "row"), [(0, 2), (2, 3)])
@pytest.mark.parametrize(("code", "fault", "plan"), SUDDEN)
def test_what_was_good_before_is_said_at_the_second_validation_and_else_at_the_third(code, fault, plan, before, row):
    """It also was bad in the validation two before the onset, or was not."""

    def sudden(now: Moment) -> None:
        if now.epoch >= plan.onset or now.epoch == plan.onset - before:
            fault(now)

    bad = replace(plan, onset=plan.onset - before, fault=sudden)
    said = [e.epoch for e, found in looks(bad) if isinstance(e, ev.Validation) and codes(found) == {code}]
    assert min(said) == plan.onset + row - 1


def test_a_metric_that_stands_to_the_last_digit_and_then_falls_can_be_judged():
    """As accuracies of few cases do."""

    def stands(now: Moment) -> None:
        now.quality = 0.6 - 0.002 * max(0, now.age - 8)
        now.cases = dict.fromkeys(now.cases, now.quality)
        now.loss = now.val_loss = 0.5 - 0.002 * max(0, 8 - now.age)

    for every in (1, 2):
        plan = Plan(epochs=60, every=every, onset=10, noise=0.0, fault=stands)
        assert {code for _, found in looks(plan) for code in codes(found)} <= {"plateau", "overfitting"}


def test_two_classes_of_which_one_is_guessed_in_the_beginning_are_no_missing_class():
    def majority(now: Moment) -> None:
        now.quality, now.classes = 0.5, {"no": 1.0, "yes": 0.0}
        now.loss = now.val_loss = 0.69 * 0.97**now.epoch

    plan = replace(PLANS["two classes"], epochs=300, per_epoch=4, onset=1, end=10, fault=majority)
    assert [found for _, found in looks(plan, 9) if found] == []


def test_a_steep_beginning_whose_progress_goes_on_slowly_is_no_plateau():
    """A logistic rise around the fifth epoch to 0.6, and from there by a hundredth an epoch; the losses go with it."""

    def curve(epoch: int) -> tuple[float, float]:
        steep = 1 / (1 + math.exp(-(epoch - 5) / 0.6))
        return 0.02 + 0.6 * steep + 0.01 * epoch, 1.3 * math.exp(-1.3 * steep - 0.02 * epoch)

    for seen in range(6, 25):
        assert findings_of(fold(EMPTY, rising(seen, curve, 0.002)), Status(state="running"), 0.0) == (), seen


def test_a_progress_that_halts_while_the_learning_rate_rises_is_no_plateau_yet():
    def looked(lr: Callable[[int], float]) -> set[str]:
        events = rising(26, lambda epoch: cut(epoch, 20), 0.002)
        seen = [structs.replace(e, lr=lr(e.epoch)) if isinstance(e, ev.Iteration) else e for e in events]
        seen[0] = structs.replace(seen[0], iterations_per_epoch=2)
        return codes(findings_of(fold(EMPTY, seen), Status(state="running"), 0.0))

    assert looked(lambda epoch: 1e-3) == {"plateau"}
    assert looked(lambda epoch: 1e-4 * epoch) == set()


def test_a_slow_tail_is_no_plateau_while_a_twentieth_of_the_way_is_left():
    """By a power law: at the thirtieth of a hundred epochs the rest brings 10 % more, at the seventieth 3 %."""

    def tail(epoch: int) -> tuple[float, float]:
        left = 0.4 * math.exp(-epoch / 2) + 0.3 / (1 + epoch / 15)
        return 0.7 - left, 0.3 + left

    said = [n for n in range(1, 101) if findings_of(fold(EMPTY, rising(n, tail, 0.004)), Status(state="running"), 0.0)]
    assert not said or said[0] > 45


def test_a_level_that_was_reached_at_once_is_a_plateau_though_its_losses_fell_a_little_at_first():
    def soon(epoch: int) -> tuple[float, float]:
        return (0.3, 1.2) if epoch == 1 else (0.6, 0.6 + 0.3 * math.exp(-epoch / 3))

    seen = [codes(findings_of(fold(EMPTY, rising(n, soon, 0.01)), Status(state="running"), 0.0)) for n in range(1, 51)]
    assert {"plateau"} in seen
    assert set().union(*seen) == {"plateau"}


def decayed(plan: Plan, epoch: int) -> list[ev.Event]:
    return [
        structs.replace(event, lr=1e-5) if isinstance(event, ev.Iteration) and event.epoch > epoch else event
        for event in stream(plan)
    ]


def test_a_plateau_of_a_high_learning_rate_is_one_when_it_has_decayed_and_one_of_a_low_rate_is_none():
    plan = replace(PLANS["long"], fault=streams.standing, top=0.6, epochs=80, onset=30)
    for epoch, expected in ((60, {"plateau"}), (32, set())):
        events = decayed(plan, epoch)
        assert codes(findings_of(fold(EMPTY, events), Status(state="finished"), 0.0)) == expected


@pytest.mark.parametrize("name", ["long", "sparse", "skin"])
def test_a_run_that_has_learned_its_training_cases_is_on_no_plateau(name):
    plan = replace(PLANS[name], fault=streams.converged, top=0.7, epochs=80, onset=30)
    assert [found for _, found in looks(plan, every=200) if found] == []
    assert finished(plan) == ()


@pytest.mark.parametrize(
    ("code", "fault"), [("at_chance", streams.learned_by_heart), ("diverging", streams.not_a_number)]
)
def test_what_a_fault_brings_along_is_no_finding_of_its_own(code, fault):
    plan = replace(PLANS["skin"], fault=fault, seed=3)
    assert {codes(found) == {code} for event, found in looks(plan) if event.epoch > plan.onset + 3} == {True}
    assert codes(finished(plan)) == {code}


def test_a_validation_loss_that_rises_as_a_class_is_lost_is_no_overfitting():
    def lost(now: Moment) -> None:
        streams.missing_class(now)
        now.val_loss *= 2.0

    plan = replace(SKINS, fault=lost, seed=3)
    assert {code for _, found in looks(plan) for code in codes(found)} == {"class_never_predicted"}
    assert codes(finished(plan)) == {"class_never_predicted"}


@pytest.mark.parametrize(("rises", "said"), [(1.0, set()), (1.03, {"at_chance"})])
def test_a_validation_loss_that_waits_for_running_averages_is_no_guessing(rises, said):
    """The training loss falls below that of guesses; what is learned by heart makes that of validation rise."""

    def lags(now: Moment) -> None:
        streams.guessing(now)
        now.loss, now.val_loss = math.log(7) * 0.85**now.epoch, math.log(7) * rises**now.epoch

    plan = replace(SKINS, epochs=60, per_epoch=130, onset=1, end=6, fault=lags)
    assert {code for _, found in looks(plan, 7) for code in codes(found)} == said


def test_a_step_that_is_no_number_is_said_where_it_ended_the_run():
    events = list(stream(replace(PLANS["short"], epochs=3)))
    step = ev.Iteration(iteration=61, epoch=4, loss="nan", seq=len(events) + 1, time_s=events[-1].time_s)
    view = fold(EMPTY, [*events, step])
    assert findings_of(view, Status(state="running"), step.time_s) == ()
    assert codes(findings_of(view, Status(state="failed"), step.time_s)) == {"diverging"}


@pytest.mark.parametrize("seed", range(5))
def test_slow_overfitting_after_a_long_level_is_said_at_the_third_validation(seed):
    plan = Plan(epochs=80, per_epoch=4, onset=61, seed=seed, fault=streams.slowly_overfitting)
    for event, found in looks(plan):
        validated = isinstance(event, ev.Validation)
        assert codes(found) == ({"overfitting"} if event.epoch - plan.onset + validated > 2 else set())


def test_a_class_that_is_missing_from_the_beginning_is_said_while_the_others_are_found():
    plan = Plan(classes=("anterior", "posterior"), epochs=400, per_epoch=1, onset=1, fault=streams.missing_class)
    seen = looks(plan, 39)
    said = min(event.epoch for event, found in seen if codes(found) == {"class_never_predicted"})
    good = (e.epoch for e, _ in seen if isinstance(e, ev.Validation) and e.per_class["posterior"]["dice"] > 0.5)
    assert said == next(good) + 2 < plan.epochs / 10


@pytest.mark.parametrize(("epochs", "per_epoch"), [(4, 12), (20, 150)])
def test_steps_that_slow_down_at_the_thirteenth_are_said_twenty_later_and_to_the_end(epochs, per_epoch):
    plan = Plan(epochs=epochs, per_epoch=per_epoch, every=0, onset=1, fault=streams.slow_steps)
    healthy = list(stream(replace(plan, fault=None)))
    steps = [event for event in stream(plan) if isinstance(event, ev.Iteration)]
    events = [
        steps[event.iteration - 1] if isinstance(event, ev.Iteration) and event.iteration > 12 else event
        for event in healthy
    ]
    ends = [at for at, event in enumerate(events, 1) if isinstance(event, ev.Iteration)]
    for last in range(32, len(ends), max(1, len(ends) // 20)):
        found = findings_of(fold(EMPTY, events[: ends[last]]), Status(state="running"), events[ends[last] - 1].time_s)
        assert codes(found) == {"slowed_down"}, last
    assert codes(findings_of(fold(EMPTY, events), Status(state="finished"), 0.0)) == {"slowed_down"}


@pytest.mark.parametrize("code", ["slowed_down", "loader_bound"])
def test_a_load_that_comes_and_goes_is_said_once_while_it_lasts(code):
    def busy(now: Moment) -> None:
        now.step_s = 0.2 * next(loads) if code == "slowed_down" else 0.2
        now.data_s = 0.13 * next(loads) if code == "loader_bound" else 0.01

    loads = itertools.cycle([1.4] * 23 + [1.9] * 27)
    plan = Plan(epochs=40, per_epoch=31, every=0, onset=4 if code == "slowed_down" else 1, fault=busy)
    said = ["".join(sorted(codes(found))) for event, found in looks(plan) if isinstance(event, ev.Iteration)]
    assert [key for key, _ in itertools.groupby(said)] == ["", code]


@pytest.mark.parametrize(("per_epoch", "wait"), [(6, 0.4), (9, 1.0), (9, 2.0)])
def test_a_wait_at_the_begin_of_each_short_epoch_does_not_bind_the_steps(per_epoch, wait):
    plan = Plan(epochs=40, per_epoch=per_epoch, every=0)
    events = [
        structs.replace(event, data_s=wait if event.iteration % per_epoch == 1 else 0.004)
        if isinstance(event, ev.Iteration)
        else event
        for event in stream(plan)
    ]
    ends = [at for at, event in enumerate(events, 1) if isinstance(event, ev.Iteration)]
    for last in range(20, len(ends), 7):
        assert not findings_of(
            fold(EMPTY, events[: ends[last]]), Status(state="running"), events[ends[last] - 1].time_s
        )


def test_a_sample_without_room_is_said_at_once_and_a_narrow_one_after_the_second():
    run = fold(EMPTY, list(stream(replace(PLANS["short"], epochs=2))))
    for held, seen in ((15_500.0, [True, True]), (14_600.0, [False, True])):
        view = run
        for at, expected in enumerate(seen, 1):
            sample = ev.Resources(
                cpu_percent=1.0, memory_mb=held, memory_total_mb=16_000.0, time_s=1e9 + at, seq=10**6 + at
            )
            view = fold(view, [sample])
            assert bool(findings_of(view, Status(state="running"), 0.0)) is expected


@pytest.mark.parametrize(
    ("code", "fault"), [("diverging", streams.diverging), ("gradient_exploding", streams.exploding)]
)
def test_a_fault_of_the_second_epoch_of_few_steps_is_said(code, fault):
    plan = Plan(epochs=12, per_epoch=4, onset=2, fault=fault)
    assert all(codes(found) == {code} for event, found in looks(plan) if event.epoch > 5)
    assert codes(finished(plan)) == {code}


@pytest.mark.parametrize("seed", range(4))
def test_a_validation_loss_that_jumps_for_two_hundred_epochs_is_no_overfitting(seed):
    plan = Plan(epochs=200, per_epoch=3, seed=seed, noise=0.1)
    assert [found for _, found in looks(plan, every=200) if "overfitting" in codes(found)] == []


def test_overfitting_is_said_in_time_though_the_monitored_metric_gets_better():
    plan = Plan(epochs=40, per_epoch=10, onset=8, fault=streams.steeply_overfitting, noise=0.01)
    for event, found in looks(plan):
        assert codes(found) <= {"overfitting"}
        assert not found or event.epoch >= plan.onset + 1
        assert found or event.epoch <= plan.onset + 2


def test_gradients_of_eighty_times_their_usual_explode_though_the_beginning_had_nine_times_that():
    def eighty_times(now: Moment) -> None:
        now.grad *= 80.0

    plan = replace(PLANS["long"], fault=eighty_times, onset=45)
    for event, found in looks(plan):
        assert codes(found) <= {"gradient_exploding"}
        assert found or event.epoch <= plan.onset + 1


def test_gradients_that_spike_now_and_then_are_no_explosion():
    plan = Plan(epochs=100, per_epoch=5, fault=streams.spiking, onset=1)
    assert [found for _, found in looks(plan) if found] == []


def test_a_plateau_is_over_when_the_metric_gets_better_again():
    plan = replace(PLANS["long"], fault=streams.standing, epochs=80, onset=20, end=45)
    seen = [codes(found) for _, found in looks(plan)]
    assert {"plateau"} in seen
    assert seen[-1] == set()


@pytest.mark.parametrize(("code", "plan"), CASES)
def test_a_finding_goes_with_its_cause(code, plan):
    plan = replace(plan, end=2 * plan.onset + 5 * plan.every, epochs=2 * plan.epochs, onset=2 * plan.onset)
    if code == "overfitting":
        plan = replace(plan, end=plan.onset + 8)
    seen = [codes(found) for _, found in looks(plan, every=200)]
    assert {code} in seen
    assert seen[-1] == set()
    assert finished(plan) == ()


def test_a_case_that_fails_now_and_then_has_to_fail_for_longer_to_be_always_bad():
    """In half of the validations before: five in a row come by chance once in 32 times, three once in eight."""

    def flickers(now: Moment) -> None:
        if now.epoch % 2 or now.epoch == 22 or now.epoch >= 31:
            streams.bad_case(now)

    plan = Plan(epochs=40, onset=5, fault=flickers)
    said = [event.epoch for event, found in looks(plan) if codes(found) == {"case_always_bad"}]
    assert min(said) == 35


def test_cases_of_a_stranger_may_hold_anything():
    odd = [{"id": ["a"], "dice": [1]}, {"dice": {"a": 1}}, {"id": "b", "dice": "nan"}, {}, {"id": None, "dice": True}]
    events = [
        replace_cases(event, odd) if isinstance(event, ev.Validation) else event for event in stream(SEGMENTATION)
    ]
    assert findings_of(fold(EMPTY, events), Status(state="finished"), 0.0) == ()


def replace_cases(event: ev.Validation, cases: list[ev.CaseEntry]) -> ev.Validation:
    return structs.replace(event, cases=cases)
