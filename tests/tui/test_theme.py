"""Colours with a meaning: one each, told apart by eyes that see fewer of them, and readable on their ground."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rich.color import Color, ColorSystem

from engine.events import Control, Note
from tui.theme import DARK, LIGHT, PALETTES, Palette
from tui.widgets.lines import describe

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB.
EYES = {
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color: str) -> np.ndarray:
    values = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(color: str, eyes: np.ndarray) -> np.ndarray:
    xyz = TO_XYZ @ np.clip(eyes @ linear(color), 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda palette: palette.name)
@pytest.mark.parametrize("eyes", EYES)
def test_truth_prediction_and_warning_are_told_apart(palette: Palette, eyes: str) -> None:
    colors = [lab(color, EYES[eyes]) for color in (palette.truth, palette.prediction, palette.warning)]
    for one, other in itertools.combinations(colors, 2):
        assert np.linalg.norm(one - other) > 15  # a difference of about 2 can just be seen side by side


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda palette: palette.name)
def test_what_is_read_has_contrast(palette: Palette) -> None:
    ground = linear(palette.ground) @ TO_XYZ[1]
    for name in ("ink", "muted", "accent", "truth", "prediction", "warning", "error"):
        light = linear(getattr(palette, name)) @ TO_XYZ[1]
        assert (max(light, ground) + 0.05) / (min(light, ground) + 0.05) >= 4.5, name  # WCAG 2.1, level AA


def test_only_truth_and_prediction_have_their_colours() -> None:
    events = (Control(request="a", command="pause", state="done", message=""), Note(text="hot"))
    assert not {describe(event)[2] for event in events} & {"truth", "prediction"}


@pytest.mark.parametrize("palette", PALETTES.values(), ids=lambda palette: palette.name)
def test_greys_are_greys_in_256_colours_too(palette: Palette) -> None:
    """The row under the cursor was dark blue there, and the band behind a curve teal."""
    for name in ("ground", "raised", "ink", "muted", "faint", "band"):
        red, green, blue = Color.parse(palette.color(name)).downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
        assert red == green == blue, name
