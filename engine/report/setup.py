"""What was trained: recipe, data, machine and versions, in words and tables."""

import time
from collections.abc import Iterator
from typing import Any

from engine import __version__
from engine.errors import counted, millions
from engine.readers.health import time_words
from engine.readers.numbers import duration, short
from engine.readers.run import RunData
from engine.recipe import Recipe, applies
from engine.report.blocks import Block, Code, Facts, Section, Table, Text
from engine.runfolder import Manifest
from engine.runfolder.manifest import CheckpointFacts, Hardware

_SPLITS = ("train", "validation", "test")
_OF_WEIGHTS = ("weights", "pretrained", "imagenet_weights")
"""Keys of a model that say with which weights it began."""


def setup(run: RunData, recipe: Recipe | None = None) -> Section:
    """The section that another person needs to judge and to repeat the run; ``recipe`` where it is not its own."""
    blocks: list[Block] = []
    if run.recipe and run.recipe.description:
        blocks.append(Text(run.recipe.description))
    blocks.append(Facts([(name, value) for name, value in _facts(run, recipe or run.recipe) if value]))
    return Section("What was trained", blocks)


def again(run: RunData) -> Section:
    """The command that makes the run, its figures and this report again, and the whole recipe."""
    command = run.manifest.command
    blocks: list[Block] = [
        Text("This command trains, evaluates, draws and reports again; DATA is the folder that holds the data set."),
        Code(f"medtui run runs/{run.folder.id}/recipe.toml --data DATA", "sh"),
        Text(f"Figures and report alone, from the run folder (this report: medtui {__version__}):"),
        Code(f"medtui figures {run.folder.id}\nmedtui report {run.folder.id}", "sh"),
    ]
    if command:
        blocks += [Text("The run was started with:"), Code(" ".join(_quoted(part) for part in command), "sh")]
    if run.recipe_text:
        blocks.append(Section("Recipe", [Code(run.recipe_text.strip(), "toml")]))
    return Section("Make it again", blocks, new_page=True)


def counts_table(run: RunData) -> Table | None:
    """Cases a class and a split."""
    counts = run.data.counts
    if not counts:
        return None
    splits = list(dict.fromkeys(name for name in (*_SPLITS, *counts) if name in counts))
    names = [name for name in run.classes if any(name in counts[split] for split in splits)]
    names += [name for split in splits for name in counts[split] if name not in names]
    names = list(dict.fromkeys(names))
    rows = [[name, *(str(counts[split].get(name, 0)) for split in splits)] for name in names]
    ruled: frozenset[int] = frozenset()
    if run.task == "classification" and len(names) > 1:
        ruled = frozenset({len(rows)})
        rows.append(["all", *(str(sum(counts[split].values())) for split in splits)])
    what = "Images" if run.pictures else "Volumes"
    return Table(["", *splits], rows, f"{what} of each split.", rule_before=ruled)


def _facts(run: RunData, recipe: Recipe | None) -> Iterator[tuple[str, str]]:
    manifest = run.manifest
    yield "Task", run.task
    yield "Data", _data(run)
    if recipe is not None:
        yield from _recipe_facts(run, recipe)
    yield "Seed", "" if run.seed is None or run.folder.is_study else str(run.seed)  # a study names all of its seeds
    yield "Checkpoint", _checkpoint(manifest.checkpoint)
    yield "Epochs", _epochs(run)
    yield "Prediction", _cost(run)
    yield "Duration", _duration(run)
    yield "Time of training", time_words(run.view)
    yield "Hardware", _hardware(run)
    yield "Versions", _versions(manifest)
    commit = manifest.git_commit or ""
    yield "Code", f"git commit {commit[:12]}" if commit else ""
    yield "Data fingerprint", run.data.fingerprint[:16]


def _recipe_facts(run: RunData, recipe: Recipe) -> Iterator[tuple[str, str]]:
    size = " x ".join(str(n) for n in recipe.data.size)
    unit = "mm" if len(recipe.data.size) == 3 else "pixels"
    spacing = f", spacing {' x '.join(map(short, recipe.data.spacing))} {unit}" if recipe.data.spacing else ""
    yield "Input", f"{size}, intensity {recipe.data.intensity}{spacing}"
    yield "Model", _model(run, recipe)
    yield "Loss", _changed(run, recipe, "loss", recipe.loss.name)
    yield "Optimizer", _changed(run, recipe, "optimizer", f"{recipe.optimizer.name}, lr {recipe.optimizer.lr:g}", "lr")
    yield "Schedule", _changed(run, recipe, "schedule", recipe.schedule.name)
    batch = f"{recipe.train.batch_size}"
    if recipe.train.accumulate > 1:
        batch += f" x {recipe.train.accumulate} accumulated"
    yield "Batch size", batch
    yield "Augmentation", _changed(run, recipe, "augment", "").removeprefix(", ").replace("_", " ") or "none"
    yield "Evaluation", run.result.protocol or _changed(run, recipe, "evaluate", "", "reported").removeprefix(", ")


def _data(run: RunData) -> str:
    data = run.data
    name, source = data.name, data.source
    text = f"{name} ({source})" if name and source and name != source else name or source
    if not text and run.recipe:
        text = run.recipe.data.source
    cases = sum(sum(classes.values()) for classes in data.counts.values())
    if data.groups:
        known = f" of the {data.grouped} of {counted(cases, 'case')} that have one" if data.grouped else ""
        without = {row.split for row in run.splits} - {row.split for row in run.splits if row.group}
        but = f", but none is known of any {' or '.join(sorted(without))} case" if without else ""
        return text + f"; no group (patient, lesion){known} is in two splits{but}"
    return text + ("; no groups known: cases of one patient may be in two splits" if cases else "")


def _model(run: RunData, recipe: Recipe) -> str:
    model = run.manifest.model
    text = _changed(run, recipe, "model", recipe.model.name, *_OF_WEIGHTS, "output")
    if getattr(recipe.model, "pretrained", False):
        text += f", ImageNet weights {recipe.model.model_dump().get('imagenet_weights', '')}".rstrip()
    elif recipe.model.weights:
        known = run.manifest.started_from.run
        text += ", weights of another run" if known else f", weights from {recipe.model.weights}"
    text += f" ({model.start})" if model.start else "" if "weights" in text else ", random weights to begin with"
    parameters = model.parameters
    if parameters is not None:
        text += f", {millions(parameters)} parameters"
    return f"{text}, {model.output} output" if model.output else text


def _changed(run: RunData, recipe: Recipe, name: str, head: str, *skip: str) -> str:
    """``head`` and every key of a table that did something and is not at its default."""
    table = getattr(recipe, name)
    output = run.manifest.model.output
    facts = {"model.output": output} if output else None
    changed = [
        f"{key} {_plain(getattr(table, key))}"
        for key, field in type(table).model_fields.items()
        if key not in {"name", *skip} and not field.is_required() and getattr(table, key) != field.get_default()
        if applies(recipe, name, key, facts) is not False
    ]
    return ", ".join([head, *changed])


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(_plain(item) for item in value) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _checkpoint(part: CheckpointFacts) -> str:
    if not part.name:
        return ""
    text = f"{part.name}, epoch {'?' if part.epoch is None else part.epoch}"
    return text if not part.metric or part.value is None else f"{text} (validation {part.metric} {short(part.value)})"


def _epochs(run: RunData) -> str:
    planned = run.manifest.epochs_planned or run.view.epochs
    done = run.manifest.epochs_done or run.view.epochs_completed
    of_minutes = f", of train.minutes = {run.manifest.minutes:g}" if run.manifest.minutes else ""
    return f"{done} of {planned}{of_minutes}" if planned else ""


def _duration(run: RunData) -> str:
    # The manifest learns of the last session after its report is written; the clock of the stream may have been set.
    known = run.manifest.duration_s or 0.0
    seconds = known if run.view.ended and known else max(known, run.view.active_s)
    text = duration(seconds) if seconds else ""
    started = run.manifest.started_s
    if started is not None:
        text += f", started {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(started))}"
    sessions = max(run.manifest.sessions, len(run.view.sessions) + 1)
    return f"{text}, {sessions} sessions" if sessions > 1 else text


def _cost(run: RunData) -> str:
    """What the prediction of a case of the reported split took."""
    part = run.manifest.inference.get(run.split)
    if part is None or part.s_a_case is None:
        return ""
    seconds = f"{short(part.s_a_case)} s a case on {part.device or 'this machine'}, without reading and measuring"
    return seconds + (f"; {part.memory_mb / 1000:.1f} GB of memory" if part.memory_mb else "")


def _hardware(run: RunData) -> str:
    manifest, memory = run.manifest, run.view.resources["memory_mb"]
    highest = f"highest memory {memory.max() / 1024:.1f} GB" if len(memory) and memory.max() else ""
    last = ", ".join(filter(None, (_machine(manifest.hardware, manifest.device), highest)))
    return "; before that: ".join([last, *(_machine(one.hardware, one.device) for one in manifest.earlier[::-1])])


def _machine(part: Hardware, device: str) -> str:
    pieces = [
        part.gpu or "",
        part.cpu or "",
        counted(part.cores, "core") if part.cores else "",
        f"{part.memory_gb:.0f} GB memory" if part.memory_gb is not None else "",
        f"computed on {device}" if device else "",
    ]
    return ", ".join(piece for piece in pieces if piece)


def _versions(manifest: Manifest) -> str:
    pairs = [("medtui", manifest.medtui), ("Python", manifest.python), *manifest.versions.items()]
    return ", ".join(f"{name} {version}" for name, version in pairs if version)


def _quoted(part: str) -> str:
    return part if part and all(c.isalnum() or c in "-_./=:,@+" for c in part) else f"'{part}'"
