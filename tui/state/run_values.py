"""What a filter of runs may ask for of recipe.toml and metrics.json. No Textual."""

from functools import lru_cache
from pathlib import Path

from engine.errors import RecipeError
from engine.runfolder import RunFolder, read_metrics, read_text
from engine.runfolder.mirror import fetch
from engine.toml import flat, parse
from tui.state.run_filter import Value

ASKED_OF = ("recipe.toml", "metrics.json")


def read_values(folder: RunFolder) -> dict[str, Value]:
    """``optimizer.lr`` and the like of the recipe, and ``metric dice``: of the test, else of the validation."""
    fetch(folder, *ASKED_OF)
    metrics = read_metrics(folder)
    part = metrics.get("test") or metrics.get("validation")
    measured = {**part.values, **part.counts} if part else {}
    found = {f"metric {name}": float(value) for name, value in measured.items() if value is not None}
    try:
        state = folder.recipe.stat()
    except OSError:
        return {**found}
    return {**_of_recipe(folder.recipe, state.st_mtime_ns, state.st_size), **found}


@lru_cache(maxsize=2048)
def _of_recipe(path: Path, _written: int, _size: int) -> dict[str, Value]:
    try:
        return {key: _value(value) for key, value in flat(parse(read_text(path), path.name)).items()}
    except (OSError, RecipeError):
        return {}


def _value(value: object) -> Value:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return tuple(map(str, value)) if isinstance(value, list) else str(value).lower()
