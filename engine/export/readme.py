"""``README.md`` of an exported folder: what the network is, for which images, how good, and how to run it."""

from collections.abc import Iterator, Mapping
from typing import Any

from engine.errors import counted, ends, printable
from engine.evaluation.trained import Trained
from engine.measures import find, in_tables, title
from engine.readers.numbers import digits, interval
from engine.runfolder import SplitSummary, read_metrics

_HALF = {"bf16", "fp16"}
_PLACES = {
    "test": "the test split",
    "test_members": "the test split, by single members of the vote",
    "out_of_fold": "the folds, each by a member that was not trained on it",
    "validation": "the validation split, on which the training was chosen",
}
"""Which result is told, the first that there is."""
_TEXT = """\
# {name}

{what}

**This is for research. It is no medical device: nothing that it gives may decide about a patient.**

## How to run it

Python 3.11 or newer; neither PyTorch nor medtui.

```sh
pip install -r requirements.txt
python predict.py {example} -o OUT
```

{result}

`python predict.py --help` has every option. With `onnxruntime-gpu` in place of `onnxruntime` it computes on a GPU. Exit
codes: 0 done, 1 some inputs could not be read and were left out, 2 nothing was predicted.

## For which images

{images}

An image that is unlike those of training is predicted all the same, with a warning on stderr.

## How good it is

{results}

## Where it comes from

{origin}

## Files

| file | what |
|---|---|
{files}
"""


def readme(trained: Trained, content: Mapping[str, Any]) -> str:
    """The text, from what ``model.json`` says and what was measured."""
    masks, volumes = content["task"] == "segmentation", content["image"]["axes"] == 3
    kind = "scan" if volumes else "picture"
    result = f"Each {kind} gets a mask in its own geometry{', as NIfTI' if volumes else ''}"
    labels = ", ".join(
        f"{value} {name}" for value, name in zip(content["label_values"], content["classes"], strict=False)
    )
    result += f" (0 background, {labels})." if masks else ""
    table = "`OUT/predictions.csv` has a row an image: the class, and the probability of each."
    text = _TEXT.format(
        name=content["name"],
        what=_what(trained, content),
        example="scans/*.nii.gz" if volumes else "pictures",
        result=result if masks else table,
        images="\n".join(f"- {line}" for line in _images(content)),
        results="\n".join(_results(trained)),
        origin="\n".join(f"- {line}" for line in _origin(trained, content)),
        files="\n".join(f"| `{name}` | {words} |" for name, words in _files(content)),
    )
    return printable(text)


def _what(trained: Trained, content: Mapping[str, Any]) -> str:
    lines = [trained.recipe.description] if trained.recipe.description else []
    how = "a mask" if content["task"] == "segmentation" else "a class"
    members = len(content["networks"])
    vote = f" {members} networks vote by their mean probability." if members > 1 else ""
    names = ", ".join(content["classes"])
    return " ".join([*lines, f"The network ({trained.recipe.model.name}) gives {how} of: {names}.{vote}"])


def _images(content: Mapping[str, Any]) -> Iterator[str]:
    image, known = content["image"], content["ranges"]
    volumes = image["axes"] == 3
    names = f" ({', '.join(image['channel_names'])})" if image["channel_names"] else ""
    if volumes:
        formats = "NIfTI (`.nii`, `.nii.gz`), NRRD (`.nrrd`, `.nhdr`), MetaImage (`.mha`, `.mhd`), or a DICOM series"
        yield f"{formats}, of {counted(image['channels'], 'channel')}{names}"
        yield "A DICOM series is the folder that holds its slices; a folder of such, or with several, gives a case each"
        if files := image.get("channel_files"):
            called = ", ".join(files)
            yield f"A folder with a folder a case, in which files are called {called}, or `<case>_{files[0]}`, ..."
        if image["channels"] > 1:
            yield "The channels of a case are one file, or `<case>_0000.nii.gz`, `<case>_0001.nii.gz`, ... in order"
    else:
        taken = "RGB" if image["channels"] == 3 else "grey values"
        yield f"PNG, JPEG, TIFF, BMP, WebP, or DICOM files of one picture each, taken as {taken}"
    sides = [_ends(known[f"size {axis}"]) for axis in range(image["axes"]) if f"size {axis}" in known]
    yield "Packed DICOM (JPEG, JPEG-LS, JPEG 2000) needs `pip install 'pylibjpeg[all]'` where it says so"
    if sides:
        yield f"In training: {' x '.join(sides)} {'voxels' if volumes else 'pixels'}"
    if spacing := [_ends(known[f"spacing {axis}"]) for axis in range(image["axes"]) if f"spacing {axis}" in known]:
        same = "" if image["spacing"] else "; they are not resampled"
        yield f"In training: voxels of {' x '.join(spacing)} mm{same}"
    if image["spacing"]:
        unit = "mm" if volumes else "pixels of the file"
        yield f"Resampled to {' x '.join(f'{side:g}' for side in image['spacing'])} {unit}, and the mask back"
    if "low" in known:
        yield f"Values in training: {known['low'][0]:.4g} to {known['high'][1]:.4g}; intensity `{image['intensity']}`"
    yield f"Trained on: {content['data'].get('title') or content['data']['name'] or 'a data set that is not named'}"
    if setting := content["data"].get("setting"):
        yield f"Setting: {setting}"
    if prepared := content["data"].get("preparation"):
        yield f"Prepared before: {prepared}"


def _ends(pair: list[float]) -> str:
    low, high = pair
    return ends(f"{low:.4g}", f"{high:.4g}")


def _results(trained: Trained) -> Iterator[str]:
    """The table of the test split, or of what was measured in its place."""
    measured = read_metrics(trained.folder)
    split = next((name for name in _PLACES if name in measured), "")
    if not split:
        yield "It was not measured."
        return
    summary = measured[split]
    yield f"{counted(summary.n or 0, 'case')} of {_PLACES[split]} ({summary.protocol}), with 95 % intervals:"
    yield ""
    classes = [*(summary.per_class if len(summary.per_class) > 1 else ()), *summary.per_region]
    yield "| | mean |" + "".join(f" {name} |" for name in classes)
    yield "|---|---|" + "---|" * len(classes)
    shown = [name for name in in_tables(trained.recipe.task) if summary.value(name) is not None]
    for name in shown:
        cells = [_cell(summary, name, label) for label in (None, *classes)]
        yield f"| {title(name, summary.unit if find(name).kind == 'distance' else '')} | " + " | ".join(cells) + " |"
    if summary.missed is not None:
        yield f"\nMissed (a class in the truth, and nowhere in the mask): {summary.missed}."


def _cell(summary: SplitSummary, name: str, label: str | None) -> str:
    ends = interval(summary.interval(name, label))
    return digits(summary.value(name, label)) + (f" ({ends})" if ends else "")


def _origin(trained: Trained, content: Mapping[str, Any]) -> Iterator[str]:
    data = content["data"]
    runs = ", ".join(f"`{network['run']}` ({network['checkpoint']})" for network in content["networks"])
    yield f"Trained by medtui {trained.manifest.medtui}: {runs}; exported by {content['made_by']}"
    yield f"Licence of the data: {data.get('licence') or 'not stated'}; terms of the data may bind what learned from it"
    if citation := data.get("citation"):
        yield f"Citation of the data: {citation}"
    worst = max(network["difference_from_torch"] for network in content["networks"])
    yield f"Compared with PyTorch on a random image: logits differ by at most {worst:.1e}"
    if _HALF & {*(trained.manifest.precision or "").split()}:
        yield (
            "`medtui predict` computes in the mixed precision of the training, and this in float32: single voxels at a "
            "border differ, and probabilities from the third decimal on"
        )


def _files(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "predict.py", "the program"
    yield "program/", "what it is made of, to be read: medtui's own readers of images, and what becomes of them"
    yield "model.json", "what the network expects and gives, and what it comes from"
    for network in content["networks"]:
        yield network["file"], "the network, with its weights: `image` (1, C, size) to `logits`, float32"
    yield "requirements.txt", "the libraries that it needs"
