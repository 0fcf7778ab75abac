"""From the words of ``medtui sweep`` to the members of a study, or to what is wrong with them."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.data import data_root, open_dataset
from engine.data.phantom import ensure_phantom
from engine.errors import RecipeError, UsageError
from engine.hardware import cores, default_threads
from engine.recipe import Recipe, load_recipe, recipe_toml
from engine.requests import Sweep
from engine.runfolder import RunFolder, create, update_manifest, write_text
from engine.runfolder.study import Study
from engine.studies.members import choices, members, pairs, save, settings
from engine.training.manifest import command_line
from engine.training.webhook import keep_webhook

MOST_MEMBERS = 10_000


def plan(request: Sweep) -> tuple[Study, Recipe]:
    """The study that is asked for, its recipe, and every member of it; a search makes its members as it goes.

    Raises:
        UsageError, RecipeError, DataError: it cannot be done; nothing was written.
    """
    grid, search = _varied(request)
    jobs = request.jobs or (1 if request.on == "local" else MOST_MEMBERS)
    words = _words(request, jobs, closed=bool(grid or search))
    recipe = load_recipe(request.recipe, words, outside=request.allow_outside)
    if request.folds and recipe.data.validation_folds != request.folds:
        said = f"--folds {request.folds}, and data.validation_folds = {recipe.data.validation_folds}"
        raise UsageError(said, "name --folds alone")
    root = data_root(request.data)
    ensure_phantom(recipe.data, root)
    dataset = open_dataset(recipe.data, recipe.task, root)
    if not dataset.split("validation"):
        raise UsageError("the recipe has no validation split to compare members by", "name --folds K")
    if request.on == "slurm" or request.start:
        from engine.evaluation.start import rehearse_start

        rehearse_start(recipe, dataset, root, request.start, request.recipe.parent)
    seeds = list(range(recipe.seed, recipe.seed + request.seeds))
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    if len(points) * len(seeds) * max(1, request.folds) > MOST_MEMBERS:
        raise UsageError(f"more than {MOST_MEMBERS} runs", "vary less")
    _refuse_illegal(request, words, points if grid else [], search)
    study = Study(
        recipe=str(request.recipe),
        task=recipe.task,
        monitor=recipe.monitor,
        folds=request.folds,
        seeds=seeds,
        grid={key: list(values) for key, values in grid.items()},
        search=search,
        trials=request.trials,
        jobs=jobs,
        on=request.on,
        slurm=list(request.slurm),
        data=str(root.resolve()),
        outside=request.allow_outside,
        member=[
            member
            for at, point in enumerate(() if search else points)
            for member in members(recipe.name, request.folds, seeds, point, part=f"-g{at}" if grid else "")
        ],
    )
    return study, recipe


def _varied(request: Sweep) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """The grid and the space of the search. Raises: UsageError: they, or the numbers beside them, cannot be used."""
    grid = {key: choices(key, values) for key, values in pairs(request.grid, "--grid").items()}
    search = pairs(request.search, "--search")
    if bool(search) != bool(request.trials):
        raise UsageError("a search needs --trials N and --search KEY=..., both", "see: medtui sweep --help")
    if grid and search:
        raise UsageError("a grid and a search are two studies", "let the search choose: --search KEY=A,B")
    if not (request.folds or request.seeds > 1 or grid or search):
        raise UsageError("there is nothing to vary", "name --folds K, --seeds N, --grid KEY=A,B or a search")
    if request.folds == 1:
        raise UsageError("--folds 1 leaves nothing to train on", "2 or more")
    return grid, search


def _refuse_illegal(
    request: Sweep, words: Sequence[str], points: Sequence[dict[str, str]], search: dict[str, str]
) -> None:
    """Check the recipe of every point of the grid, and with the ends of what is searched; and what they hold out."""
    if search:
        from engine.studies.search import ends

        points = [{key: value} for key, range_ in search.items() for value in ends(key, range_)]
    held: dict[tuple[str, ...], str] = {}
    same: dict[str, list[str]] = {}
    for point in points:
        given = settings(point)
        try:
            recipe = load_recipe(request.recipe, (*words, *given), outside=request.allow_outside)
        except RecipeError as error:
            own = {f"--set {text}": f"--{'search' if search else 'grid'} {text}" for text in given}
            problems = tuple(replace(one, where=own.get(one.where, one.where)) for one in error.problems)
            raise RecipeError(error.message, error.hint, problems) from None
        if (first := same.setdefault(recipe_toml(recipe), given)) is not given and not search:
            raise UsageError(f"{', '.join(first)} and {', '.join(given)} are one setting", "name each once")
        if any(key.startswith("data.") for key in point):
            cases = open_dataset(recipe.data, recipe.task, data_root(request.data)).cases
            measured = sorted(f"{case.split} {case.id}" for case in cases if case.split != "train")
            held.setdefault(tuple(measured), given[0])
    if len(held) > 1:
        raise UsageError(
            " and ".join([*held.values()][:2]) + " hold out different cases: settings are compared on the same ones",
            "make a study of each: medtui sweep --set KEY=VALUE",
        )


def make(request: Sweep, study: Study, recipe: Recipe) -> RunFolder:
    """The folder of a study, with its recipe, the weights that its members start from, and its table."""
    from engine.evaluation.start import find_start, keep_start

    recipe, start = find_start(recipe, request.start, request.recipe.parent, Path(study.data))
    folder = create(request.runs, recipe.name, study=True)
    update_manifest(folder, command=command_line(), seed=recipe.seed)
    keep_start(folder, recipe, start)
    write_text(folder.recipe, recipe_toml(recipe, sure=True))
    keep_webhook(folder, recipe.runtime.webhook)
    save(folder, study)  # from now on it is a study
    return folder


def _words(request: Sweep, jobs: int, *, closed: bool) -> tuple[str, ...]:
    """What makes the recipe of all members; what a study sets itself gives way to ``--set``.

    ``closed``: settings are compared, so the test split is not looked at.
    """
    given = load_recipe(request.recipe, request.overrides, outside=request.allow_outside)
    own = ["evaluate.test=false"] if closed else []
    own += [f"data.validation_folds={request.folds}"] if request.folds else []
    if jobs > 1 and request.on == "local" and given.runtime.threads is None:
        own.append(f"runtime.threads={min(default_threads(), max(1, cores() // jobs))}")
    named = [f'name="{request.name}"'] if request.name else []
    return (*own, *request.overrides, *named)
