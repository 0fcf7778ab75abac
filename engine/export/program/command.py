"""The command: what is asked for, what is told, and the exit code."""

import argparse
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engine.errors import MedtuiError
from engine.export.program.cases import Array, Case, find_cases, not_taken, refuse_without_pydicom
from engine.export.program.faults import EndedError, UnusableError, refuse_ended, say, told_to_end
from engine.export.program.network import Network
from engine.export.program.preparing import prepared, seen_whole
from engine.export.program.reading import is_dicom, range_of, take_shades, unreadable
from engine.export.program.writing import make_folder, write_mask, write_table


def predict(network: Network, cases: Sequence[Case], output: Path, *, overwrite: bool) -> int:
    """Predict ``cases``, tell where the results are, and how many cases could not be read."""
    how, masks = network.expected, network.facts["task"] == "segmentation"
    targets = _targets(cases, output, how["axes"] if masks else 0, overwrite=overwrite)
    left, ends, rows = 0, how["value_range"], []
    if how["axes"] == 2 and ends is None:
        ends = range_of(cases, how)
    for case, target in zip(cases, targets, strict=True):
        refuse_ended()
        if problem := unreadable(case, how):
            say(f"left out: case {case.name}: {problem}", sys.stderr)
            left += 1
            continue
        stretched = not masks and how["resize"] == "stretch"
        for note in _warned(case, network.facts["ranges"], stretched=stretched):
            say(f"case {case.name}: {note}", sys.stderr)
        make_folder(output)
        if how["axes"] == 2:
            take_shades(case, ends)
        if masks:
            mask = network.mask(prepared(case, how))
            write_mask(target, mask, network.facts["label_values"], header=case.header, affine=case.affine)
            say(target)
        else:
            rows.append(_row(case.name, network.facts["classes"], network.shares(seen_whole(case, how))))
        case.values = np.zeros(0)
    if rows:
        write_table(targets[0], [["id", "predicted", *(f"prob:{name}" for name in network.facts["classes"])], *rows])
        say(targets[0])
    return left


def _targets(cases: Sequence[Case], output: Path, axes: int, *, overwrite: bool) -> list[Path]:
    """The file of each result; ``axes``: of a mask, 0 where all cases are rows of one table."""
    table, ending = output / "predictions.csv", ".nii.gz" if axes == 3 else ".png"
    targets = [output / f"{case.name}{ending}" if axes else table for case in cases]
    sources = {os.path.realpath(path) for case in cases for path in case.files}
    if over := [path for path in targets if os.path.realpath(path) in sources]:
        raise UnusableError(f"{over[0]} is an input: the result would be written over it; name another folder with -o")
    if there := [path for path in targets if path.exists() and not overwrite]:
        raise UnusableError(f"{there[0]} is there already: name another folder with -o, or add --overwrite")
    return targets


def _row(name: str, classes: Sequence[str], shares: Array) -> list[str]:
    """Of the table: the case, its class, the probability of each."""
    if not np.isfinite(shares).all():
        raise UnusableError(f"the network gives values that are not finite for {name}")
    return [name, classes[int(shares.argmax())], *map(repr, shares.tolist())]


def _warned(case: Case, known: dict[str, Sequence[float]], *, stretched: bool = False) -> Iterator[str]:
    """In what an image is unlike those that the network was trained on; ``stretched``: to one size, with its voxels."""
    yield from case.notes
    image = case.values
    if not {"low", "high", "blank"} <= known.keys():
        return
    low, high, extent = float(image.min()), float(image.max()), known["high"][1] - known["low"][0]
    narrow = high - low < (known["high"][0] - known["low"][1]) / 10
    if image.ndim == 4 and (narrow or low < known["low"][0] - extent or high > known["high"][1] + extent):
        yield f"values from {low:g} to {high:g}; trained on values from {known['low'][0]:g} to {known['high'][1]:g}"
    rows = image[:, :: max(1, image.shape[1] // 16)]
    blank = np.count_nonzero((rows == 0) | (rows == image.dtype.type(low)) if low else rows == 0) / rows.size
    if blank > known["blank"][1] + 0.2:
        yield f"{blank:.0%} of it is 0 or its least value; in training at most {known['blank'][1]:.0%}"
    for axis, side in enumerate(() if stretched else case.spacing or ()):
        least, most = known.get(f"spacing {axis}", (side, side))
        if not least / 1.1 <= side <= most * 1.1:
            yield f"voxels of {side:.4g} mm along axis {axis}; trained on {least:.4g} to {most:.4g} mm"


def be_quiet() -> None:
    """Let libraries tell no details of a header or of rounding, and let no name be one that cannot be printed."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(words: Sequence[str] | None, folder: Path, about: str | None) -> int:
    """What ``predict.py`` does.

    Args:
        words: of the command line; None: those that were typed.
        folder: that was exported.
        about: what ``--help`` says first.

    Returns:
        The exit code: 0 done, 1 some inputs could not be read and were left out, 2 something is wrong and the rest was
        not predicted, 130 interrupted, 143 terminated.

    Raises:
        ImportError: a library is not installed.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE", help="files, or folders of files")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="OUT", help="folder of the results")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads of the network (all cores)")
    parser.add_argument("--cpu", action="store_true", help="use no GPU, also where onnxruntime-gpu is installed")
    asked = parser.parse_args(words)
    be_quiet()
    try:
        with told_to_end():
            return run(asked, folder)
    except ImportError:
        raise
    except (UnusableError, MedtuiError, OSError) as error:
        say(f"error: {'; '.join(str(error).splitlines())}", sys.stderr)
        return 2
    except EndedError as told:
        word = "interrupted" if told.args[0] == signal.SIGINT else "terminated"
        say(f"{word}: results that are there are whole", sys.stderr)
        return 128 + int(told.args[0])
    except Exception as error:  # noqa: BLE001  (the boundary: nobody sees a traceback)
        say(f"error: {error!r}: copy the folder again, or tell those who make medtui", sys.stderr)
        return 2


def run(asked: argparse.Namespace, folder: Path) -> int:
    """Predict what a command line asks for; the exit code."""
    network = Network(folder, threads=asked.threads, cpu=asked.cpu)
    axes = network.expected["axes"]
    importlib.import_module("nibabel" if axes == 3 else "PIL")  # once, not for every case
    alike = network.expected.get("channel_files", ())  # versions before knew no folders of cases
    cases = find_cases(asked.inputs, axes, network.expected["channels"], alike)
    if others := not_taken(asked.inputs, axes):
        say(others, sys.stderr)
    if axes == 2 and any(is_dicom(path) for case in cases for path in case.files):
        refuse_without_pydicom()
    left = predict(network, cases, asked.output, overwrite=asked.overwrite)
    return 0 if not left else 1 if left < len(cases) else 2
