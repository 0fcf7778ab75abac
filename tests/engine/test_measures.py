"""The table of metrics: titles, order, direction, and that no other list of them stands in the source."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import measures
from engine.errors import UsageError
from engine.events import EpochDone, Result, Validation
from engine.measures import Measure
from tests.engine.runs import CLASSIFICATION, SEGMENTATION, events, run

NOT_NUMBERS = {"definitions", "protocol", "unit", "ci95", "ci95_reason", "per_class", "per_region", "confusion"}
NOT_METRICS = {"id", "group", "split", "true", "predicted", "prob"}
_EVERY = {SEGMENTATION: ["evaluate.all_voxel_distances=true", "evaluate.surface_validation=true"]}
ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("engine/**/*.py"), *ROOT.glob("tui/**/*.py")])
COMPUTED = ("engine/metrics/",)  # where metrics are computed they have to be named
OTHER_LISTS = {
    "engine/report/results.py": "the counts that stand beside the metrics of a class",
    "engine/runfolder/summary.py": "the fields of a split's summary that are no metrics",
}


@pytest.mark.parametrize(
    ("metric", "unit", "shown"),
    [
        ("hd95", "mm", "95HD [mm]"),
        ("dice", "mm", "Dice"),
        ("f1_weighted", "", "F1 (weighted)"),
        ("auc_micro", "", "AUC (micro)"),
        ("hd95_regions", "mm", "95HD (regions) [mm]"),
        ("something_new", "", "something new"),
    ],
)
def test_titles(metric: str, unit: str, shown: str) -> None:
    assert measures.title(metric, unit) == shown


def test_metrics_stand_in_the_order_of_papers() -> None:
    names = ["n", "hd95", "zeta", "dice", "loss", "f1_weighted", "f1", "dice"]
    assert measures.ordered(names) == ["f1", "f1_weighted", "dice", "hd95", "loss", "n", "zeta"]
    assert measures.leading(["asd", "jaccard", "hd95", "loss", "dice"]) == ["dice", "hd95", "jaccard", "asd", "loss"]
    assert measures.leading(["probability", "loss"]) == ["loss", "probability"]


def test_a_volume_of_voxels_is_an_area_of_pixels() -> None:
    names = ("volume_error", "absolute_volume_error", "hd95")
    assert [measures.title(name, "pixel") for name in names] == ["Area error", "Absolute area error", "95HD [pixel]"]
    assert [measures.title(name, "voxel") for name in names][:2] == ["Volume error", "Absolute volume error"]
    assert [measures.spoken(name, "pixel") for name in names] == ["area error", "absolute area error", "hd95 pixel"]
    assert [measures.spoken(name) for name in names] == ["volume error", "absolute volume error", "hd95"]
    assert measures.spoken("hd95_all_voxels", "voxel") == "hd95 all voxels"
    assert measures.spoken("hd95_all_voxels", "mm") == "hd95 all voxels mm"
    assert measures.spoken("false_positive_cases") == measures.title("false_positive_cases") == "FP cases"


def test_less_is_better_where_it_is_an_error() -> None:
    down = {name for name in measures._TABLE if not measures.better_up(name)}
    distances = {"asd", "assd", "hd95", "hd95_max", "assd_all_voxels", "hd95_all_voxels"}
    counts = {"missed", "false_positive", "false_positive_cases"}
    errors = {"loss", "ece", "ece_classwise", "brier", "log_loss"}
    errors |= {"absolute_volume_error", "lesion_false_positives"}
    assert down == distances | counts | errors
    assert not measures.better_up("ece_weighted")
    assert not measures.better_up("log_loss_calibrated")
    assert measures.better_up("a metric of another version")


def test_what_can_be_monitored() -> None:
    assert measures.default_monitor("segmentation") == "dice"
    assert measures.default_monitor("classification") == "balanced_accuracy"
    assert measures.monitorable("segmentation") == [
        "dice", "dice_regions", "jaccard", "nsd", "asd", "assd", "hd95", "assd_all_voxels", "hd95_all_voxels", "loss",
    ]  # fmt: skip


def test_of_two_classes_sensitivity_specificity_and_average_precision_lead() -> None:
    many = ["loss", "auc", "average_precision", "specificity", "accuracy", "balanced_accuracy", "f1"]
    two = ["sensitivity", "specificity", "average_precision", "auc"]
    assert measures.headline([*many, "sensitivity"]) == two
    assert measures.leading([*many, "sensitivity"])[:4] == measures.ordered([*many, "sensitivity"])[:4] == two
    assert measures.headline(many) == ["accuracy", "balanced_accuracy", "f1", "auc"]
    assert measures.leading(many)[:2] == ["balanced_accuracy", "accuracy"]
    assert not {"sensitivity", "specificity"} & {*measures.monitorable("classification")}


def test_a_name_is_registered_once() -> None:
    mine = Measure("mine", "Mine", up=False)
    try:
        assert measures.find("mine").up
        measures.register(mine)
        measures.register(mine)
        assert not measures.find("mine").up
        with pytest.raises(UsageError, match='"mine" already'):
            measures.register(Measure("mine", "Another"))
    finally:
        measures.unregister("mine")


def test_a_short_title_has_six_letters() -> None:
    assert all(0 < len(measures.short_title(name)) <= 6 for name in [*measures._TABLE, "balanced_something"])


@pytest.mark.parametrize(("text", "cases"), [(SEGMENTATION, 8), (CLASSIFICATION, 60)])
def test_every_number_that_a_run_writes_is_in_the_table(text: str, cases: int, tmp_path: Path) -> None:
    _, folder = run(tmp_path, text, "train.epochs=1", *_EVERY.get(text, ()), cases=cases)
    names = set(csv.DictReader(folder.cases.open()).fieldnames or ())
    for part in json.loads(folder.metrics.read_text()).values():
        names |= {name for name in part if name not in NOT_NUMBERS}
        names |= {name for row in part["per_class"].values() for name in row}
        names |= set(part["ci95"])
    for event in events(folder):
        if isinstance(event, EpochDone | Validation | Result):
            names |= {name for row in (event.metrics, *event.per_class.values()) for name in row}
        if isinstance(event, Validation | Result):
            names |= {name for row in event.cases for name in row}
    plain = {name.partition(":")[0] for name in names} - NOT_METRICS
    assert {"loss", measures.default_monitor("segmentation" if text == SEGMENTATION else "classification")} <= plain
    assert [name for name in sorted(plain) if not measures.is_known(name)] == []


def lists(path: Path) -> Iterator[tuple[int, set[str]]]:
    """(line, words) of every literal tuple, list, set and dictionary in a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            words = node.elts
        elif isinstance(node, ast.Dict):
            words = [key for key in node.keys if key is not None]
        else:
            continue
        yield node.lineno, {word.value for word in words if isinstance(word, ast.Constant) and type(word.value) is str}


def test_no_other_list_of_metrics_stands_in_the_source() -> None:
    known = {name for name, measure in measures._TABLE.items() if measure.tasks}
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if name == "engine/measures.py" or name.startswith(COMPUTED):
            continue
        for line, words in lists(path):
            if len(words & known) > 1:
                found.setdefault(name, []).append(f"{name}:{line} {sorted(words & known)}")
    assert found.keys() == OTHER_LISTS.keys(), "\n".join(line for lines in found.values() for line in lines)
