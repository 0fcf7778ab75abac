"""Exported folders for tests, and both ways to predict with them."""

from __future__ import annotations

import io
import resource
import runpy
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt

from engine.__main__ import main
from engine.commands.predict import predict
from engine.data.phantom_volumes import hippocampus
from engine.requests import Export, Predict, encode
from engine.runfolder import RunFolder
from tests.engine.runs import SEGMENTATION

Script = Callable[..., subprocess.CompletedProcess[str]]
VOLUMES = SEGMENTATION.replace('"left_atrium"', '"decathlon"', 1).replace('"left_atrium"', '"hippocampus"')
VOLUMES = VOLUMES.replace("validation_fraction", 'spacing = [1.5, 1.2, 1.0]\nsplit = "fraction"\nvalidation_fraction')
VOLUMES = VOLUMES.replace('"dice_bce"', '"dice_ce"').replace("overlap = 0.0", "overlap = 0.4\nflips = true")
IMPORTED = {"scipy": "scipy", "nibabel": "nibabel", "PIL": "pillow", "pydicom": "pydicom"}
OTHERS = ("torch", "monai", "ignite", "engine", "tui", "numba", "h5py", "msgspec", "pydantic", "SimpleITK", "pyjpegls")
ALONE = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ImportError(f"{name} is not to be imported")
REFUSED = set(sys.argv[1].split())
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def exported(folder: RunFolder, output: Path) -> Path:
    assert main(["export", encode(Export(run=folder.root, output=output))]) == 0
    return output


def alone(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """``predict.py`` of an exported folder, where of our own libraries only those of its requirements are installed."""
    needs = (folder / "requirements.txt").read_text()
    refused = [*OTHERS, *(module for module, name in IMPORTED.items() if f"{name}>=" not in needs)]
    typed = [sys.executable, "-P", "-c", ALONE, " ".join(refused), folder / "predict.py", *words, "--threads", "1"]
    return subprocess.run(list(map(str, typed)), capture_output=True, text=True, cwd=folder.parent, timeout=120)


def here(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported all of it already: a tenth of the time."""
    out, err, typed = io.StringIO(), io.StringIO(), [*map(str, words), "--threads", "1"]
    with warnings.catch_warnings(), np.errstate(), redirect_stdout(out), redirect_stderr(err):
        code = runpy.run_path(str(folder / "predict.py"))["main"](typed)
    return subprocess.CompletedProcess(typed, code, out.getvalue(), err.getvalue())


def both(
    run_folder: RunFolder, folder: Path, inputs: Sequence[Path], place: Path, script: Script = here
) -> tuple[Path, Path]:
    """Where ``medtui predict`` and the exported folder put their results."""
    ours, theirs = place / "ours", place / "theirs"
    assert predict(Predict(run=run_folder.root, inputs=tuple(inputs), output=ours)) == 0
    done = script(folder, *inputs, "-o", theirs)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in ours.iterdir()) == sorted(path.name for path in theirs.iterdir())
    return ours, theirs


def scan(path: Path, codes: str, sides: Sequence[float], cut: int = 100) -> Path:
    """A hippocampus stored with axes ``codes`` and voxels of ``sides`` mm, of at most ``cut`` voxels an axis."""
    image = hippocampus(np.random.default_rng(len(codes) + cut))[0][:cut, :cut, :cut]
    grid = np.diag([*sides, 1.0])
    grid[:3, 3] = (-5, 4, 7)
    grid[:3, :3] = grid[:3, :3] @ [[1, 0.05, 0], [-0.05, 1, 0], [0, 0, 1]]  # a little oblique
    file = nibabel.Nifti1Image(image, grid).as_reoriented(axcodes2ornt(codes))
    file.header.set_xyzt_units("mm")
    path.parent.mkdir(exist_ok=True)
    nibabel.save(file, path)
    return path


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Files that take no more than ``size`` bytes: to a program as a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ended(
    command: Sequence[object], folder: Path, number: signal.Signals, *, once: Callable[[], bool]
) -> subprocess.CompletedProcess[str]:
    """``command``, which is sent a signal as soon as ``once`` is true; twice, as a group of processes is."""
    typed = list(map(str, command))
    with subprocess.Popen(
        typed, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        until = time.monotonic() + 120
        while process.poll() is None and not once() and time.monotonic() < until:
            time.sleep(0.005)
        for _ in range(1 if number == signal.SIGINT else 2):
            process.send_signal(number)
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(typed, process.returncode, out, err)
