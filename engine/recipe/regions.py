"""Regions of [evaluate] beside the classes of a data set: which masks each is the union of."""

from collections.abc import Iterator, Sequence

from engine.errors import Problem, RecipeError
from engine.recipe.explain import nearest
from engine.recipe.names import folded
from engine.recipe.tables import EvaluateTable, SegmentationEvaluateTable


def region_indices(table: EvaluateTable, classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Region -> indices of its classes in a mask, 1 for the first of ``classes``; nothing where none is asked for.

    Raises:
        RecipeError: a region has a class that the data has not, or the name of a class.
    """
    if not isinstance(table, SegmentationEvaluateTable):
        return {}
    if problems := tuple(_problems(table, classes)):
        raise RecipeError("the recipe cannot be used with this data:", problems=problems)
    return {name: tuple(1 + classes.index(each) for each in own) for name, own in table.regions.items()}


def _problems(table: SegmentationEvaluateTable, classes: Sequence[str]) -> Iterator[Problem]:
    key, known = "evaluate.regions", "the classes: " + ", ".join(f'"{name}"' for name in classes)
    for region, own in table.regions.items():
        if folded(region) in map(folded, classes):
            yield Problem("recipe", f'"{region}" is a class already', "a name of its own", key)
        for name in own:
            if name not in classes:
                close = nearest(name, classes)
                meant = f'; did you mean "{close}"?' if close else ""
                yield Problem("recipe", f'"{region}": there is no class "{name}"{meant}', known, key)
