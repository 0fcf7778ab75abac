"""What a reader asks before he trusts a number: whose data, how chosen, how often tested, what for."""

from collections.abc import Iterator

from engine.errors import counted, ends
from engine.measures import better_up, title
from engine.readers.numbers import digits
from engine.readers.run import RunData
from engine.report.blocks import Facts, Section, Text
from engine.report.setup import counts_table
from engine.runfolder import list_runs, read_manifest

BLANK = "[for the author to fill]"
_LEFT_OUT = ("left out:", "kept with", "not used", "does not", "count nowhere")
"""What a note has in it that says of cases or files that they do not count."""
_USE = (
    "Intended use and clinical role",
    "Intended users",
    "Patients and images it is meant for",
    "Where it must not be used",
    "Known limits, and harm that a wrong output can do",
    "What was there before, and why this model",
    "Ethics approval and consent",
    "Registration and protocol",
    "Funding and competing interests",
    "Availability of data and trained model",
)


def data_section(run: RunData) -> Section:
    """Whose data these are, on what terms, how many in each split, and what was left out."""
    said = run.data.statement
    facts = [
        ("Data set", said.get("title", "") or run.data.name or BLANK),
        ("Source", said.get("source", "") or BLANK),
        ("Licence", said.get("licence", "") or BLANK),
        ("Citation", said.get("citation", "") or ("none: a phantom" if run.data.phantom else BLANK)),
        ("Reference standard", said.get("reference standard", "") or f"who made it, and how: {BLANK}"),
        ("Patients and setting", "none: a phantom" if run.data.phantom else said.get("setting", "") or BLANK),
        ("Dates, eligibility", "none: a phantom" if run.data.phantom else BLANK),
        ("Prepared before", "no" if run.data.phantom else said.get("preparation", "") or BLANK),
        *((f"Images of {split}", _images(run, known)) for split, known in _known_ranges(run)),
        ("Splits", _splits(run)),
        ("Left out", "; ".join(_left_out(run)) or "nothing"),
    ]
    table = counts_table(run)
    return Section("Data", [Facts(facts), *([table] if table else [])])


def _known_ranges(run: RunData) -> Iterator[tuple[str, dict[str, tuple[float, float]]]]:
    for split, known in (("training", run.data.ranges), ("test", run.data.test_ranges)):
        if "size 0" in known:  # runs of earlier versions do not have it
            yield split, known


def _images(run: RunData, known: dict[str, tuple[float, float]]) -> str:
    """Sizes, voxel sizes and values of the images of a split, as the files have them."""

    def sides(name: str) -> str:
        found = [known[f"{name} {axis}"] for axis in range(run.data.spatial_dims) if f"{name} {axis}" in known]
        return " x ".join(_ends(low, high) for low, high in found)

    voxels = f", voxels of {spacing} mm" if (spacing := sides("spacing")) else ""
    values = f", values from {_plain(known['low'][0])} to {_plain(known['high'][1])}" if "low" in known else ""
    return f"{sides('size')} {'pixels' if run.pictures else 'voxels'}{voxels}{values.replace('-', '−')}"


def _ends(low: float, high: float) -> str:
    return ends(_plain(low), _plain(high))


def _plain(value: float) -> str:
    """Four significant digits, but every digit of a large number: 1703936, and no 1.704e+06."""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def _left_out(run: RunData) -> Iterator[str]:
    """What of the data set is not behind the numbers: cases, files, and what lies outside a measured crop."""
    yield from (note for note in run.data.notes if any(words in note for words in _LEFT_OUT))
    if limit := limits(run):
        yield f"cases beyond a limit of the recipe ({limit})"
    if run.recipe and run.recipe.evaluate.model_dump().get("mode") == "center_crop":
        yield "of each case, what lies outside the crop in its centre"


def limits(run: RunData) -> str:
    """The recipe's limits on the number of cases; empty where it has none."""
    data = run.recipe.data.model_dump() if run.recipe else {}
    names = {"limit_train": "training", "limit_validation": "validation", "limit_test": "test"}
    return " and ".join(f"at most {counted(data[key], f'{name} case')}" for key, name in names.items() if data.get(key))


def _splits(run: RunData) -> str:
    published = run.data.published_split if run.split == "test" else None
    text = {True: "as published", False: "not the published ones"}.get(published, "") if published is not None else ""
    how = ""
    if run.recipe:
        kind, seed = run.recipe.data.split, run.recipe.data.split_seed
        how = "as the data folder has them" if kind == "given" else f'drawn ("{kind}", seed {seed})'
    groups = {row.split: {r.group for r in run.splits if r.split == row.split and r.group} for row in run.splits}
    counts = ", ".join(f"{name} {len(found)}" for name, found in groups.items() if found)
    return "; ".join(part for part in (text, how, f"groups (patients, lesions): {counts}" if counts else "") if part)


def chosen_section(run: RunData) -> Section:
    """How weights, thresholds and settings were chosen, and how often the test split was looked at."""
    return Section("How it was chosen", [Facts([(name, text) for name, text in _chosen(run) if text])])


def _chosen(run: RunData) -> Iterator[tuple[str, str]]:
    yield "Weights", _weights(run)
    part = run.metrics.get("test", run.result)
    threshold, temperature = part.value("threshold"), part.value("temperature")
    by_validation = "chosen on the validation split" if temperature is not None else "not fitted"
    if run.task == "classification":
        yield "Temperature", by_validation if temperature is None else f"{digits(temperature)}, {by_validation}"
        if threshold is not None:
            yield "Threshold", f"{threshold:.3g}, {by_validation}"
        else:
            yield "Decision", "the class with the largest probability"
    elif run.recipe is not None and run.manifest.model.output == "sigmoid":
        yield "Threshold", f"{run.recipe.evaluate.model_dump().get('threshold')}, as the recipe has it"
    elif run.manifest.model.output:
        yield "Decision", "in each voxel the class with the largest probability"
    study = run.manifest.study
    settings = f"a member of the study {study.id} ({study.member})" if study.id else "as the recipe has them"
    yield "Settings", f"{settings}; how these were chosen, and what else was tried: {BLANK}"
    yield "Number of cases", f"{limits(run) or 'all that there were'}, no calculation; why that is enough: {BLANK}"
    yield "Test split", looks(run)


def _weights(run: RunData) -> str:
    part, cases = run.manifest.checkpoint, sum(run.data.counts.get("validation", {}).values())
    if not part.name:
        return ""
    hashed = f"; SHA-256 of the file {part.sha256}" if part.sha256 else ""
    if part.name != "best" or not part.metric:
        return f"those of the last epoch ({part.epoch}); nothing was chosen by a metric{hashed}"
    found = counted(len(run.view.validations), "validation") if run.view.validations else "all validations"
    way = "highest" if better_up(part.metric) else "lowest"
    return (
        f"of {found} those with the {way} {title(part.metric)} on "
        f"{counted(cases, 'validation case')} (epoch {part.epoch}){hashed}"
    )


def looks(run: RunData) -> str:
    """How often the test cases were measured, by this run and by all runs beside it that have the same ones."""
    own = run.manifest.looks.get("test", 0)
    print_ = run.data.test_fingerprint
    if not own and not print_:
        return ""
    runs = [read_manifest(folder) for folder in list_runs(run.folder.root.parent, studies=True)] if print_ else []
    counts = [one.looks.get("test", 0) for one in runs if one.data.test_fingerprint == print_]
    counts = [count for count in counts if count] or [own]
    if not any(counts):
        return "not measured so far by any run in the same folder"
    others = f"{times(sum(counts))} by {counted(len(counts), 'run')} in the same folder"
    text = f"{times(own)} by this run" + (f"; with it, {others}" if len(counts) > 1 else "") if own else others
    return f"measured {text}. Choices made after a look make its numbers too good."


def times(count: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def use_section() -> Section:
    """What only the author knows."""
    text = Text("No program can know these. A report without them is not one that a reader can judge.", muted=True)
    return Section("Intended use and limits", [text, Facts([(name, BLANK) for name in _USE])])
