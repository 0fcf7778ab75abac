"""Phantom volumes: a left atrium in the UA-MT layout, a hippocampus in the Decathlon layout, nodules in folders."""

import gzip
import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
NODULES = ("smooth", "ragged")
Point = npt.NDArray[np.float64]


def write_left_atrium(folder: Path, seed: int, cases: int) -> None:
    """``train.list``, ``test.list`` (a quarter of the cases), ``<id>/mri_norm2.h5`` of about 56x56x52 voxels."""
    names = [f"PHANTOM{index:05d}" for index in range(cases)]
    tests = max(1, cases // 4)
    for index, name in enumerate(names):
        image, label = atrium(np.random.default_rng([seed, 1, index]))
        (folder / name).mkdir()
        with h5py.File(folder / name / "mri_norm2.h5", "w") as file:
            file.create_dataset("image", data=image, compression="gzip")
            file.create_dataset("label", data=label, compression="gzip")
    (folder / "train.list").write_text("".join(f"{name}\n" for name in names[:-tests]), encoding="utf-8")
    (folder / "test.list").write_text("".join(f"{name}\n" for name in names[-tests:]), encoding="utf-8")


def write_hippocampus(folder: Path, seed: int, cases: int) -> None:
    """``dataset.json``, ``imagesTr/``, ``labelsTr/``; about 36x50x36 voxels of 1 mm."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir()
    rows = []
    for index in range(cases):
        rng = np.random.default_rng([seed, 2, index])
        image, label = hippocampus(rng)
        affine = np.diag([1.0, 1.0, 1.0, 1.0])
        affine[:3, 3] = rng.integers(-20, 20, 3)
        name = f"phantom_{index:03d}.nii.gz"
        write_nifti(folder / "imagesTr" / name, image, affine)
        write_nifti(folder / "labelsTr" / name, label, affine)
        rows.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {
        "name": "Hippocampus phantom",
        "description": "made by medtui, of no patient",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": cases,
        "numTest": 0,
        "training": rows,
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def write_nodules(folder: Path, seed: int, cases: int) -> None:
    """``<split>/<class>/nodule_000.nii.gz``, the two classes in turn: about 36x36x26 voxels of 1 x 1 x 1.5 mm."""
    tests, validations = max(2, round(0.25 * cases)), max(2, round(0.15 * cases))
    for index in range(cases):
        split = "test" if index < tests else "validation" if index < tests + validations else "train"
        name = NODULES[index % 2]
        place = folder / split / name
        place.mkdir(parents=True, exist_ok=True)
        image = nodule(np.random.default_rng([seed, 8, index]), ragged=name == NODULES[1])
        write_nifti(place / f"nodule_{index:03d}.nii.gz", image, np.diag([1.0, 1.0, 1.5, 1.0]))


def nodule(rng: np.random.Generator, *, ragged: bool) -> npt.NDArray[np.int16]:
    """One cut-out of a lung in Hounsfield units, with a nodule among vessels as dense as it is.

    A ragged one has spicules, a smooth one a vessel or two that touch it: only their number and their ends tell them.
    """
    shape = tuple(int(side) for side in rng.integers((34, 34, 24), (40, 40, 29)))
    grid = [axis * step for axis, step in zip(_grid(shape), (1.0, 1.0, 1.5), strict=True)]
    middle = (np.array(shape) * (1.0, 1.0, 1.5)) / 2 + rng.uniform(-3, 3, 3)
    radius = rng.uniform(5, 8)
    dense = _ellipsoid(grid, middle, radius * rng.uniform(0.8, 1.2, 3), rng.uniform(-1, 1))
    for _ in range(int(rng.integers(9, 14)) if ragged else int(rng.integers(1, 3))):
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        end = middle + way * (radius + rng.uniform(4, 8) if ragged else 60)
        dense |= _tube(grid, middle, end, rng.uniform(0.9, 1.5))
    for _ in range(int(rng.integers(2, 5))):
        start, end = rng.uniform(0, 40, 3), rng.uniform(0, 40, 3)
        dense |= _tube(grid, start, end, rng.uniform(0.8, 1.6))
    soft = ndimage.gaussian_filter(dense.astype(np.float64), 0.6)
    image = -850 + soft * rng.uniform(820, 900) + rng.normal(0, 60, shape)
    return np.asarray(np.rint(image), np.int16)


def write_nifti(path: Path, array: npt.NDArray[np.generic], affine: npt.NDArray[np.float64]) -> None:
    """Write ``array`` (*S) as NIfTI in mm; no time stamp, so the same array gives the same bytes."""
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    if path.suffix == ".gz":
        data = gzip.compress(data, compresslevel=6, mtime=0)
    path.write_bytes(data)


def atrium(rng: np.random.Generator) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """One heart: image float32 of mean 0 and deviation 1, label uint8 (1: the chamber with its veins).

    The aorta and the other chambers are as bright as the atrium. It differs by its thin bright
    wall, its veins, and its place behind the middle.
    """
    shape = tuple(int(side) for side in rng.integers((54, 54, 48), (61, 61, 57)))
    middle = np.array(shape) / 2 + rng.uniform(-3, 3, 3)
    grid = _grid(shape)
    body = _ellipsoid(grid, np.array(shape) / 2, np.array(shape) * rng.uniform(0.44, 0.5, 3), 0.0)
    label = _ellipsoid(grid, middle, rng.uniform((9, 8, 8), (13, 10, 11)), rng.uniform(-0.5, 0.5))
    for side in (-1, 1):
        for end in (-1, 1):
            start = middle + np.array([side * 6.0, 3.0, end * 3.5])
            stop = start + np.array([side * rng.uniform(8, 12), rng.uniform(2, 7), end * rng.uniform(1, 5)])
            label |= _tube(grid, start, stop, rng.uniform(1.9, 2.7))
    lobe = middle + np.array([rng.choice((-1, 1)) * 8.0, -7.0, rng.uniform(-4, 4)])
    label |= _ellipsoid(grid, lobe, rng.uniform((4, 4, 3), (6, 6, 5)), 0.0)
    others = _ellipsoid(grid, middle + np.array((rng.uniform(-9, -4), -19.0, -4.0)), rng.uniform(7, 10, 3), 0.3)
    others |= _ellipsoid(grid, middle + np.array((rng.uniform(6, 11), -18.0, 6.0)), rng.uniform(5, 9, 3), -0.3)
    aorta = middle + np.array((rng.uniform(-6, 6), 18.0, 0.0))
    others |= _tube(grid, aorta - (0, 0, 30), aorta + np.array((rng.uniform(-5, 5), 0, 30)), rng.uniform(3.5, 5))
    others &= ~ndimage.binary_dilation(label, iterations=2)
    wall = label & ~ndimage.binary_erosion(label)
    image = np.where(body, 0.35, 0.0).astype(np.float32)
    image[others & body] = 0.9
    image[label] = 0.9
    image[wall] = 1.15
    return _scan(image, rng, noise=0.16), label.astype(np.uint8)


def hippocampus(rng: np.random.Generator) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.uint8]]:
    """One crop of a brain: image uint8 or float32 of any brightness, label 1 anterior, 2 posterior."""
    shape = tuple(int(side) for side in rng.integers((33, 45, 33), (40, 55, 41)))
    grid = _grid(shape)
    middle = np.array(shape) / 2 + rng.uniform(-2, 2, 3)
    bend, lean = rng.uniform(0.010, 0.022), rng.uniform(-0.15, 0.15)
    along = grid[1] - middle[1]
    across = grid[0] - middle[0] - lean * along
    up = grid[2] - middle[2] + bend * along**2 - 2.0
    half = rng.uniform(14, 17)
    girth = rng.uniform(4.2, 5.2) * (1 + 0.35 * np.clip(along / half, -1, 1))
    label = (across**2 + up**2 <= girth**2 * np.clip(1 - (along / half) ** 4, 0, None)).astype(np.uint8)
    border = rng.uniform(-1.0, 2.0) + 0.3 * across
    label[(label == 1) & (along < border)] = 2
    image = np.full(shape, 0.45, np.float32)
    for side in (-1, 1):
        spot = middle + np.array((side * rng.uniform(11, 14), rng.uniform(-10, 10), rng.uniform(-8, 8)))
        image[_ellipsoid(grid, spot, rng.uniform(3, 6, 3), 0.2) & (label == 0)] = 0.75
    image[(label == 0) & ndimage.binary_dilation(label > 0, iterations=2)] = 0.30
    image[label == 1] = 0.78
    image[label == 2] = 0.70
    scan = _scan(image, rng, noise=0.07)
    scan = (scan - scan.min()) / (scan.max() - scan.min())
    if rng.random() < 0.3:
        return np.round(scan * rng.integers(80, 255)).astype(np.uint8), label
    return (scan * 10 ** rng.uniform(1.5, 4.0)).astype(np.float32), label


def _grid(shape: tuple[int, ...]) -> list[npt.NDArray[np.float64]]:
    return list(np.meshgrid(*(np.arange(side, dtype=np.float64) for side in shape), indexing="ij", sparse=True))


def _ellipsoid(grid: list[npt.NDArray[np.float64]], middle: Point, radii: Point, turn: float) -> Bools:
    """Voxels within an ellipsoid that is turned by ``turn`` radians about the third axis."""
    x, y, z = (axis - place for axis, place in zip(grid, middle, strict=True))
    a, b = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    inside: Bools = (a / radii[0]) ** 2 + (b / radii[1]) ** 2 + (z / radii[2]) ** 2 <= 1
    return inside


def _tube(grid: list[npt.NDArray[np.float64]], start: Point, stop: Point, radius: float) -> Bools:
    way = stop - start
    offsets = [axis - place for axis, place in zip(grid, start, strict=True)]
    share = sum(offset * step for offset, step in zip(offsets, way, strict=True)) / float(way @ way)
    share = np.clip(share, 0, 1)
    inside: Bools = sum((o - share * w) ** 2 for o, w in zip(offsets, way, strict=True)) <= radius**2
    return inside


def _scan(image: Floats, rng: np.random.Generator, noise: float) -> Floats:
    """Blur, a slow change of brightness, noise; then mean 0 and deviation 1."""
    soft = ndimage.gaussian_filter(image, 0.6)
    slow = ndimage.zoom(rng.uniform(0.85, 1.15, (3, 3, 3)), np.array(image.shape) / 3, order=1)
    scan = soft * slow + rng.normal(0, noise, image.shape)
    normal: Floats = ((scan - scan.mean()) / scan.std()).astype(np.float32)
    return normal
