"""Facts of data sets and machines that are nowhere, and the recipe that a plan makes of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.data.cases import Case, Dataset
from engine.planning.facts import Facts, Seen
from engine.planning.machine import Machine, Pace
from engine.planning.plan import Line, Lines, Measure, Plan, Wish, nested
from engine.planning.text import recipe_text
from engine.recipe import Recipe, parse_recipe, refuse_dead

CPU = Machine(2, 8 * 2**30)
GPU = Machine(16, 64 * 2**30, "A Card", 24 * 2**30)
SEEN = Seen(mean=300.0, deviation=90.0, low=0.0, blank=0.0, foreground=(), pieces=((0, 90, 90),))


def volumes(
    size: tuple[int, ...] = (64, 64, 64),
    spacings: tuple[tuple[float, ...], ...] = ((1.0, 1.0, 1.0),),
    *,
    seen: tuple[Seen, ...] = (SEEN,),
    unit: str = "mm",
    modality: str = "MRI",
    train: int = 40,
) -> Facts:
    """Facts of ``train`` volumes of ``size``, whose spacings are those given, in turns."""
    dataset = Dataset(
        name="made up",
        cases=_cases({"train": train, "validation": 5, "test": 10}),
        classes=("organ",),
        label_values=(1,),
        spacing_unit=unit,
        task="segmentation",
        source="nifti_pairs",
        phantom=False,
        channel_names=(modality,),
    )
    count = len(dataset.cases)
    spaced = tuple(spacings[at % len(spacings)] for at in range(count)) if unit == "mm" else ()
    return _facts(dataset, (size,) * count, spaced, seen, {"organ": count})


def pictures(
    size: tuple[int, int] = (300, 400), counts: tuple[int, ...] = (400, 100), *, channels: int = 3, train: int = 400
) -> Facts:
    """Facts of pictures of as many classes as ``counts`` are given."""
    names = tuple("abcdefg"[: len(counts)])
    dataset = Dataset(
        name="made up",
        cases=_cases({"train": train, "validation": 50, "test": 50}, len(names)),
        classes=names,
        channels=channels,
        spatial_dims=2,
        spacing_unit="pixel",
        task="classification",
        source="image_folder",
        phantom=False,
    )
    present = dict(zip(names, counts, strict=True))
    return _facts(dataset, (size,) * len(dataset.cases), (), (SEEN,), present)


def _cases(counts: dict[str, int], classes: int = 0) -> tuple[Case, ...]:
    return tuple(
        Case(f"{split}{at}", (Path(f"{split}{at}"),), target=at % classes if classes else None, split=split)
        for split, count in counts.items()
        for at in range(count)
    )


def _facts(dataset: Dataset, sizes, spacings, seen, present: dict[str, int]) -> Facts:
    return Facts(
        dataset=dataset,
        keys={"source": dataset.source, "classes": dataset.classes},
        sizes=sizes,
        spacings=spacings,
        read=len(seen),
        seen=seen,
        present=present,
        empty=0,
        given=False,
        named=True,
    )


def wish(facts: Facts, machine: Machine = CPU, minutes: int = 60) -> Wish:
    return Wish(facts, machine, minutes)


def paces(seconds: Callable[[dict[str, dict[str, object]]], float | None], validation: float = 0.0) -> Measure:
    """A clock by which a step of a recipe takes so many ``seconds``, and a validation; None: no memory."""

    def measure(lines: Lines, watched: bool) -> Pace | None:
        taken = seconds(nested(lines))
        return None if taken is None else Pace(taken, validation_s=validation if watched else 0.0)

    return measure


def recipe_of(plan: Plan, facts: Facts) -> Recipe:
    """The recipe of a plan, which is taken as it is written."""
    dataset = facts.dataset
    head = [Line("name", "r"), Line("task", dataset.task), Line("seed", 0)]
    lines = [Line(line.key, "here", line.why) if line.key == "data.root" else line for line in plan.lines]
    recipe = parse_recipe(recipe_text([], [*head, *lines]), "r.toml")
    refuse_dead(recipe, dataset.facts)
    return recipe


def reasons(plan: Plan) -> dict[str, str]:
    return {line.key: line.why for line in plan.lines}
