"""Phantom dermatoscopic images: with classes as in the ISIC 2018 Task 3 release, and with masks of the lesions."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from engine.data.sources.isic2018 import CLASSES, GROUPS, PARTS

Floats = npt.NDArray[np.float64]
HEIGHT, WIDTH = 90, 120
_SHARES = {"MEL": 0.15, "NV": 0.36, "BCC": 0.12, "AKIEC": 0.10, "BKL": 0.13, "DF": 0.07, "VASC": 0.07}
_PARTS = {"train": 0.6, "validation": 0.15, "test": 0.25}


@dataclass(frozen=True, slots=True)
class Look:
    """What the lesions of a class look like: colour (R, G, B), ragged outline, grain, spots, centre."""

    colour: tuple[float, float, float]
    ragged: float
    grain: float
    spots: float
    centre: float


LOOKS = {
    "MEL": Look((0.30, 0.20, 0.17), 0.34, 0.09, -0.16, 0.0),
    "NV": Look((0.50, 0.33, 0.24), 0.06, 0.02, 0.0, 0.0),
    "BCC": Look((0.74, 0.50, 0.47), 0.15, 0.03, 0.22, 0.0),
    "AKIEC": Look((0.72, 0.38, 0.33), 0.22, 0.13, 0.0, 0.0),
    "BKL": Look((0.60, 0.45, 0.30), 0.12, 0.03, -0.22, 0.0),
    "DF": Look((0.66, 0.45, 0.40), 0.08, 0.03, 0.0, 0.26),
    "VASC": Look((0.55, 0.12, 0.22), 0.18, 0.03, 0.0, 0.0),
}
"""The classes differ by colour, outline and texture together; each alone overlaps with a neighbour's."""


def write_isic2018(folder: Path, seed: int, cases: int) -> None:
    """Images of 120x90 in three parts with one-hot tables; several images of a lesion in Training."""
    groups: list[tuple[str, str, str]] = []
    number = 0
    for part_index, (split, counts) in enumerate(_counts(cases).items()):
        rows = []
        images = folder / f"ISIC2018_Task3_{PARTS[split]}_Input"
        images.mkdir()
        rng = np.random.default_rng([seed, 3, part_index])
        for name, group, label in _plan(split, counts, number, rng):
            own = np.random.default_rng([seed, 4, int(group[4:])])
            pixels, _ = lesion(LOOKS[label], own, np.random.default_rng([seed, 5, int(name[5:])]))
            Image.fromarray(pixels).save(images / f"{name}.jpg", quality=92)
            rows.append([name, *("1.0" if label == other else "0.0" for other in CLASSES)])
            if split == "train":
                groups.append((name, group, "single image expert consensus"))
        number += len(rows)
        place = folder / f"ISIC2018_Task3_{PARTS[split]}_GroundTruth"
        place.mkdir()
        _table(place / f"ISIC2018_Task3_{PARTS[split]}_GroundTruth.csv", ["image", *CLASSES], rows)
    _table(folder / GROUPS, ["image", "lesion_id", "diagnosis_confirm_type"], groups)


def write_lesions(folder: Path, seed: int, cases: int) -> None:
    """``images/<split>/*.jpg`` and ``masks/<split>/*_segmentation.png`` (0 and 255), of sizes from 80x107 to 104x139.

    The corners of half of the images are dark, as through a dermatoscope: no threshold finds the lesions.
    """
    counts = {split: max(1, round(cases * part)) for split, part in _PARTS.items() if split != "train"}
    counts = {"train": cases - sum(counts.values()), **counts}
    names = iter(range(cases))
    for split, count in counts.items():
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True)
        for _, number in zip(range(count), names, strict=False):
            rng = np.random.default_rng([seed, 6, number])
            look = LOOKS[CLASSES[int(rng.integers(len(CLASSES)))]]
            pixels, mask = lesion(look, rng, np.random.default_rng([seed, 7, number]))
            if rng.random() < 0.5:
                pixels = _through_dermatoscope(pixels, rng)
            size = round(WIDTH * rng.uniform(0.9, 1.15)), round(HEIGHT * rng.uniform(0.9, 1.15))
            name = f"PHA_{number:04d}"
            Image.fromarray(pixels).resize(size).save(folder / "images" / split / f"{name}.jpg", quality=92)
            black = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
            black.save(folder / "masks" / split / f"{name}_segmentation.png")


def _through_dermatoscope(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    light = 1 / (1 + np.exp((radius - rng.uniform(58, 66)) / 2))
    dark = np.array([40, 30, 28]) * rng.uniform(0.5, 1.5)
    return np.asarray(pixels * light[..., None] + dark * (1 - light[..., None])).clip(0, 255).astype(np.uint8)


def lesion(
    look: Look, lesion: np.random.Generator, view: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """One image, uint8 (90, 120, 3), and where its lesion is (90, 120).

    ``lesion`` decides the lesion, ``view`` how it is seen.
    """
    skin = np.array([0.86, 0.70, 0.62]) * lesion.uniform(0.85, 1.08)
    colour = np.clip(np.array(look.colour) * lesion.normal(1, 0.035, 3) * lesion.normal(1, 0.09), 0.05, 0.95)
    size, narrow, turn = lesion.uniform(17, 30), lesion.uniform(0.7, 1.0), lesion.uniform(0, np.pi)
    waves = [(k, lesion.normal(0, look.ragged / k**0.5), lesion.uniform(0, 2 * np.pi)) for k in range(2, 7)]
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    x, y = x - WIDTH / 2 - view.uniform(-14, 14), y - HEIGHT / 2 - view.uniform(-10, 10)
    turn += view.uniform(-0.5, 0.5)
    a, b = np.cos(turn) * x + np.sin(turn) * y, (np.cos(turn) * y - np.sin(turn) * x) / narrow
    angle, radius = np.arctan2(b, a), np.hypot(a, b)
    edge = size * (1 + sum(height * np.cos(k * angle + phase) for k, height, phase in waves))
    cover = 1 / (1 + np.exp(np.clip((radius - edge) / 1.5, -30, 30)))
    inner = colour + _grain(lesion, 1.2)[..., None] * look.grain + _spots(lesion)[..., None] * look.spots
    inner += (np.exp(-((radius / (0.45 * size)) ** 2)) * look.centre)[..., None]
    image = skin * (1 - cover[..., None]) + inner * cover[..., None]
    image += _grain(view, 2.5)[..., None] * 0.02
    image *= 1 + view.uniform(-0.12, 0.12) - 0.25 * ((x / WIDTH) ** 2 + (y / HEIGHT) ** 2)[..., None]
    image += view.normal(0, 0.02, image.shape)
    return _hair(np.clip(image * 255, 0, 255).astype(np.uint8), view), cover > 0.5


def _grain(rng: np.random.Generator, scale: float) -> Floats:
    field = ndimage.gaussian_filter(rng.normal(size=(HEIGHT, WIDTH)), scale)
    normal: Floats = field / field.std()
    return normal


def _spots(rng: np.random.Generator) -> Floats:
    field = np.zeros((HEIGHT, WIDTH))
    field[rng.integers(0, HEIGHT, 90), rng.integers(0, WIDTH, 90)] = 1
    spots: Floats = np.clip(ndimage.gaussian_filter(field, 1.3) * 12, 0, 1)
    return spots


def _hair(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(0, 7))):
        start, way = rng.uniform((0, 0), (WIDTH, HEIGHT)), rng.uniform(-60, 60, 2)
        bend = rng.uniform(-12, 12, 2)
        line = [tuple(start + t * way + t * (1 - t) * bend) for t in np.linspace(0, 1, 12)]
        draw.line(line, fill=tuple(int(v) for v in rng.integers(25, 80, 3)), width=1)
    return np.asarray(picture)


def _counts(cases: int) -> dict[str, dict[str, int]]:
    """Split -> class -> images; every split has every class once or more where ``cases`` is 28 or more."""
    counts: dict[str, dict[str, int]] = {}
    for split, part in _PARTS.items():
        total = round(cases * part)
        own = {label: min(1, total) for label in CLASSES}
        own = dict(list(own.items())[:total]) if total < len(CLASSES) else own
        spare = total - sum(own.values())
        shares = {label: _SHARES[label] for label in own}
        for label in own:
            own[label] += int(spare * shares[label] / sum(shares.values()))
        counts[split] = own | {"NV": own.get("NV", 0) + total - sum(own.values())}
    return counts


def _plan(split: str, counts: dict[str, int], first: int, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """(image, lesion, class) a row; one lesion in five of Training has a second image."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    order = rng.permutation(len(labels))
    plan: list[tuple[str, str, str]] = []
    last: dict[str, str] = {}
    for offset, index in enumerate(order):
        label, number = labels[index], first + offset
        again = split == "train" and label in last and rng.random() < 0.2
        lesion = last[label] if again else f"PHA_{number:07d}"
        last[label] = lesion
        plan.append((f"ISIC_{number:07d}", lesion, label))
    return plan


def _table(path: Path, header: list[str], rows: list[list[str]] | list[tuple[str, str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
