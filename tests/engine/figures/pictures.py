"""What a test can say of a picture: it is there, it is large enough, and there is something on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def pixels(path: Path) -> np.ndarray:
    """uint8 (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def looks_drawn(path: Path, colours: int = 30) -> bool:
    """Whether the picture has a decent size, several colours, and ink on a good share of its rows."""
    picture = pixels(path)
    found = np.unique(picture.reshape(-1, 3), axis=0)
    inked = (picture != picture[0, 0]).any(axis=2)
    return min(picture.shape[:2]) > 150 and len(found) >= colours and inked.any(axis=1).mean() > 0.5


def has_colour(path: Path, colour: str, tolerance: int = 12) -> bool:
    """Whether ``colour`` (``#rrggbb``) is on the picture."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.abs(pixels(path).astype(int) - wanted).max(axis=2) <= tolerance).any())
