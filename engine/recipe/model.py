"""The whole recipe, and the rules that hold between its tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field

from engine import measures
from engine.plugins import load_plugins
from engine.recipe.base import Members, NamedTable, Table
from engine.recipe.earlier import FORMAT
from engine.recipe.losses import LossTable
from engine.recipe.models import ModelTable
from engine.recipe.names import folded
from engine.recipe.optim import AdamTable, ConstantTable, OptimizerTable, ScheduleTable
from engine.recipe.sources import DataTable
from engine.recipe.tables import AugmentTable, EvaluateTable, FiguresTable, RuntimeTable, TrainTable


class Recipe(Table):
    """An experiment: what to train, on what, how, and how it is measured."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    """Letters, digits, dot, dash and underscore, 64 at most; it becomes part of the run folder's name."""
    task: Literal["segmentation", "classification"]
    """What the network does."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Seed of everything that is drawn in training."""
    description: Annotated[str, Field(max_length=2000)] = ""
    """What a reader of the report should know."""
    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT
    """Of the recipe of a run, written by medtui: keys that it lacks mean what they did in runs of that format, and a
    version that knows no such format refuses it. In a recipe of your own leave it out."""
    data: Annotated[DataTable, Members()]
    model: Annotated[ModelTable, Members()]
    loss: Annotated[LossTable, Members()]
    optimizer: Annotated[OptimizerTable, Members()] = AdamTable()
    schedule: Annotated[ScheduleTable, Members()] = ConstantTable()
    train: TrainTable
    augment: AugmentTable = AugmentTable()
    evaluate: Annotated[EvaluateTable, Members()] = Field(default={}, validate_default=True)
    figures: FiguresTable = FiguresTable()
    runtime: RuntimeTable = RuntimeTable()

    @property
    def regions(self) -> Mapping[str, tuple[str, ...]]:
        """Unions of classes that are measured beside them; none but in segmentation."""
        return getattr(self.evaluate, "regions", {})

    @property
    def monitor(self) -> str:
        """The validation metric that chooses best.pt."""
        return self.train.monitor or measures.default_monitor(self.task)

    @property
    def monitor_up(self) -> bool:
        return measures.better_up(self.monitor)

    def bare(self) -> Self:
        """The same recipe with random weights to begin with."""
        return self.model_copy(update={"model": self.model.bare()})


TABLES: dict[str, type[Table]] = {
    name: kind
    for name, field in Recipe.model_fields.items()
    if isinstance(kind := field.annotation, type) and issubclass(kind, Table)
}
"""The tables of a recipe, by name; for a family, its base."""

FAMILIES: dict[str, type[NamedTable]] = {name: kind for name, kind in TABLES.items() if issubclass(kind, NamedTable)}
"""Those of which there is one a name."""


def table_class(table: str, values: Mapping[str, Any]) -> type[Table] | None:
    """The class that checks a table of the raw ``values`` of a recipe; None where they name no member of its family."""
    kind = TABLES[table]
    if not issubclass(kind, NamedTable):
        return kind
    own = values if kind.key == "task" else values.get(table)
    return kind.chosen({**own} if isinstance(own, Mapping) else {})


_known = sum(len(family.members) for family in FAMILIES.values())


def refresh() -> None:
    """Let a recipe name tables that were registered since the last call: those that installed packages add.

    Raises:
        UsageError: such a package cannot be loaded.
    """
    load_plugins("medtui.tables")
    global _known  # noqa: PLW0603  (what pydantic built is as global)
    count = sum(len(family.members) for family in FAMILIES.values())
    if count != _known:
        Recipe.model_rebuild(force=True)
        _known = count


class Contradiction(NamedTuple):
    """Settings that are legal each by itself and cannot go together."""

    keys: tuple[str, ...]  # all keys concerned; the first is the one to name
    found: str  # what was found
    allowed: str  # what is legal beside the other keys


def contradictions(recipe: Recipe) -> Iterator[Contradiction]:
    """Every pair of settings that cannot go together."""
    yield from _by_task(recipe)
    yield from _weights(recipe)
    yield from _metrics(recipe)
    yield from _regions(recipe)
    yield from _sizes(recipe)
    yield from _intensity(recipe)
    yield from _splits(recipe)
    yield from _outputs(recipe)


def _by_task(recipe: Recipe) -> Iterator[Contradiction]:
    for name, family in FAMILIES.items():
        table: NamedTable = getattr(recipe, name)
        if recipe.task not in table.tasks:
            found = f'"{getattr(table, table.key)}" with task "{recipe.task}"'
            fitting = [other for other, member in family.members.items() if recipe.task in member.tasks]
            yield Contradiction((f"{name}.{table.key}", "task"), found, _one_of(sorted(fitting)))


def _imagenet(recipe: Recipe) -> Iterator[Contradiction]:
    if recipe.model.weights:
        yield Contradiction(("model.weights", "model.pretrained"), "a file, and pretrained = true", "one of the two")
    for key, theirs in (("norm", "batch"), ("width", 1.0)):
        if (own := getattr(recipe.model, key, theirs)) != theirs:
            allowed = f"{theirs}, as ImageNet's weights, or pretrained = false"
            yield Contradiction((f"model.{key}", "model.pretrained"), f"{own}", allowed)
    if len(recipe.data.size) == 3:
        allowed = "false: ImageNet's weights are of pictures; medtui run --from RUN starts with those of a run"
        yield Contradiction(("model.pretrained", "data.size"), "true for volumes", allowed)


def _weights(recipe: Recipe) -> Iterator[Contradiction]:
    if getattr(recipe.model, "pretrained", False):
        yield from _imagenet(recipe)
    loss = recipe.loss
    balanced = getattr(loss, "class_weights", "") == "balanced"
    if not all(getattr(loss, "weights", (1.0,))):
        allowed = "two numbers above 0; loss.name may be a part alone"
        yield Contradiction(("loss.weights",), "a part of the sum that weighs nothing", allowed)
    ways = (
        ('data.balance = "class"', 'data.balance = "none"', recipe.data.balance == "class"),
        ('loss.class_weights = "balanced"', 'loss.class_weights = "none"', balanced),
        ("loss.logit_adjustment", "loss.logit_adjustment = 0", getattr(loss, "logit_adjustment", 0.0) > 0),
    )
    used = [(way, off) for way, off, on in ways if on]
    if len(used) > 1:
        keys = tuple(way.partition(" ")[0] for way, _ in reversed(used))
        found = f"{' and '.join(way for way, _ in used)}: rare classes would be corrected for twice"
        yield Contradiction(keys, found, f"one of the two: {', or '.join(off for _, off in reversed(used))}")


def _metrics(recipe: Recipe) -> Iterator[Contradiction]:
    known, reported = measures.monitorable(recipe.task), recipe.evaluate.reported
    for name, place in ((recipe.monitor, "train.monitor"), *((name, "evaluate.reported") for name in reported)):
        key, bounds = measures.find(name).key, measures.find(name).bounds
        if name not in known:
            yield Contradiction((place, "task"), f'"{name}" with task "{recipe.task}"', _one_of(known))
        elif key and not getattr(recipe.evaluate, key) and (place, key) != ("evaluate.reported", "surface_validation"):
            off, on = ("{}", "with classes of each") if key == "regions" else ("false", "= true")
            found = f'"{name}" with evaluate.{key} = {off}'
            yield Contradiction((place, f"evaluate.{key}"), found, f"{key} {on}, or another metric")
        elif place == "evaluate.reported" and not bounds[0] <= reported[name] <= bounds[1]:
            yield Contradiction((place,), f"{name} = {reported[name]}", "from {:g} to {:g}".format(*bounds))


def _regions(recipe: Recipe) -> Iterator[Contradiction]:
    for name, classes in recipe.regions.items():
        if len({*classes}) < max(1, len(classes)):
            allowed = "one class or more, each once"
            found = f'"{name}" of {", ".join(classes) or "no class"}'
            yield Contradiction(("evaluate.regions",), found, allowed)
    if len({folded(name) for name in recipe.regions}) != len(recipe.regions):
        yield Contradiction(("evaluate.regions",), "a name twice, but for case or spaces", "every region once")


_AXES = {2: "2 numbers: height and width of pictures", 3: "3 numbers: those of volumes"}


def _sizes(recipe: Recipe) -> Iterator[Contradiction]:
    axes = len(recipe.data.size)
    for key, name, dims in (
        ("data.source", recipe.data.source, recipe.data.dims),
        ("model.name", recipe.model.name, recipe.model.dims),
    ):
        if axes not in dims:
            wanted = " or ".join(_AXES[number] for number in sorted(dims))
            yield Contradiction(("data.size", key), f'{axes} numbers with {key} = "{name}"', wanted)
            break  # one word for one size: what the data says goes first
    if recipe.data.spacing is not None and len(recipe.data.spacing) != axes:
        found = f"{len(recipe.data.spacing)} numbers"
        yield Contradiction(("data.spacing", "data.size"), found, f"{axes} numbers, one an axis of data.size")
    flip = recipe.augment.flip
    if any(axis >= axes for axis in flip) or len({*flip}) < len(flip):
        allowed = f"axes from 0 to {axes - 1}, each once"
        yield Contradiction(("augment.flip", "data.size"), f"{list(flip)}", allowed)
    if (plane := recipe.augment.rotate_plane) and plane[0] == plane[1]:
        yield Contradiction(("augment.rotate_plane",), f"{list(plane)}", "two axes")


def _intensity(recipe: Recipe) -> Iterator[Contradiction]:
    window = recipe.data.window
    if recipe.data.intensity == "window" and window is None:
        yield Contradiction(("data.window", "data.intensity"), 'intensity = "window" without a window', "[low, high]")
    if window is not None and window[0] >= window[1]:
        yield Contradiction(("data.window",), f"{list(window)}", "[low, high] with low below high")
    if recipe.data.intensity == "imagenet" and len(recipe.data.size) == 3:
        allowed = '"zscore", "body", "minmax", "window" or "none": ImageNet has means of colour images only'
        yield Contradiction(("data.intensity", "data.size"), '"imagenet" for volumes', allowed)


def _splits(recipe: Recipe) -> Iterator[Contradiction]:
    data = recipe.data
    if data.split == "kfold" and data.fold >= data.folds:
        keys = ("data.fold", "data.folds", "data.split")
        yield Contradiction(keys, f"{data.fold} of {data.folds} folds", f"0 to {data.folds - 1}")
    if data.validation_folds and data.validation_fold >= data.validation_folds:
        fold, folds = data.validation_fold, data.validation_folds
        found = f"{fold} of {folds} folds"
        yield Contradiction(("data.validation_fold", "data.validation_folds"), found, f"0 to {folds - 1}")
    if data.split == "fraction" and data.validation_fraction + data.test_fraction >= 0.95:
        keys = ("data.test_fraction", "data.validation_fraction", "data.split")
        found = "less than 5 % of the cases would be left for training"
        yield Contradiction(keys, found, "validation_fraction + test_fraction below 0.95")
    names = [folded(name) for name in data.classes or ()]
    if len(set(names)) != len(names):
        yield Contradiction(("data.classes",), "a name twice, but for case or spaces", "every class once")
    if data.crop == "foreground" and data.foreground_share == 0:
        yield Contradiction(("data.foreground_share", "data.crop"), "0", 'above 0, or data.crop = "random"')


def _outputs(recipe: Recipe) -> Iterator[Contradiction]:
    classes = recipe.data.classes
    output = getattr(recipe.model, "output", "auto")
    if output == "sigmoid" and classes is not None and len(classes) > 1:
        found = f'"sigmoid" with {len(classes)} foreground classes'
        yield Contradiction(("model.output", "data.classes"), found, '"softmax" or "auto"')
    if output not in {"auto", *recipe.loss.outputs}:
        found, fitting = f'"{recipe.loss.name}" with model.output = "{output}"', LossTable.fitting(recipe.task, output)
        yield Contradiction(("loss.name", "model.output"), found, _one_of(fitting))
    weights = getattr(recipe.loss, "class_weights", "none")
    if (
        isinstance(weights, tuple)
        and classes is not None
        and recipe.task == "classification"
        and len(weights) != len(classes)
    ):
        keys = ("loss.class_weights", "data.classes", "task")
        yield Contradiction(keys, f"{len(weights)} numbers", f"{len(classes)}, one a class")


def _one_of(names: Sequence[str]) -> str:
    return "one of " + ", ".join(f'"{name}"' for name in names)


def memory_advice(recipe: Recipe) -> str:
    """What to change when memory runs out, in this recipe's own numbers."""
    half = max(1, recipe.train.batch_size // 2)
    advice = []
    if recipe.train.batch_size > 1:
        accumulate = recipe.train.accumulate * recipe.train.batch_size // half
        volume = getattr(recipe.loss, "batch_dice", False)
        keeps = "" if volume else f" (train.accumulate = {accumulate} keeps the step)"
        advice.append(f"train.batch_size from {recipe.train.batch_size} to {half}{keeps}")
    smaller = [max(16, int(n * 0.75) // 16 * 16) for n in recipe.data.size]
    if list(smaller) != list(recipe.data.size):
        advice.append(f"data.size from {list(recipe.data.size)} to {smaller}")
    if recipe.train.amp == "off":
        advice.append('train.amp = "auto"')
    return "set " + ", or ".join(advice) if advice else "make the network smaller"
