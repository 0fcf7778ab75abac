"""Pixels of previews: contours, and an image beside its activation map."""

from __future__ import annotations

import numpy as np

from tui.plotting.half_blocks import letters, marked
from tui.plotting.slice_picture import paint
from tui.state.images import PreviewImages

TRUTH, PREDICTION = "#0000ff", "#ff0000"


def test_contours_lie_on_the_edge_of_their_mask_and_truth_on_top() -> None:
    image = np.full((1, 8, 8), 100, np.uint8)
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, 2:6, 2:6] = 1
    both = paint(PreviewImages(image, np.zeros(1, int), mask, mask), 0, (8, 4), truth=TRUTH, prediction=PREDICTION)
    assert both.shape == (8, 8, 3)
    assert both[2, 2].tolist() == [0, 0, 255]
    assert both[3, 3].tolist() == [100, 100, 100]  # inside
    alone = paint(PreviewImages(image, np.zeros(1, int), None, mask), 0, (8, 4), truth=TRUTH, prediction=PREDICTION)
    assert alone[2, 2].tolist() == [255, 0, 0]


def test_an_image_with_a_map_stands_beside_itself_under_the_map() -> None:
    image = np.full((1, 10, 10, 3), 100, np.uint8)
    heat = np.zeros((1, 10, 10), np.uint8)
    heat[0, :, 5:] = 255
    images = PreviewImages(image, np.zeros(1, int), said="a: said b", heat=heat)
    picture = paint(images, 0, (21, 5), truth=TRUTH, prediction=PREDICTION)
    assert picture.shape == (10, 21, 3)
    assert (picture[:, :10] == 100).all()  # the image alone
    assert (picture[:, 10] == 0).all()  # the gap
    assert (picture[:, 11:16] == 100).all()  # nothing spoke here
    assert picture[0, 20].tolist() == [214, 216, 148]  # a quarter of the image, three of inferno's brightest


def test_a_map_fits_into_any_room() -> None:
    images = PreviewImages(
        np.zeros((1, 75, 100, 3), np.uint8), np.zeros(1, int), heat=np.full((1, 75, 100), 128, np.uint8)
    )
    for width in (1, 2, 5, 40, 200):
        for rows in (1, 3, 30):
            high, wide, _ = paint(images, 0, (width, rows), truth=TRUTH, prediction=PREDICTION).shape
            assert high <= 2 * rows
            assert wide <= max(3, width)


def test_without_colours_contours_are_marks_where_their_colours_were() -> None:
    image = np.full((1, 8, 8), 128, np.uint8)
    truth, guess = np.zeros((1, 8, 8), np.uint8), np.zeros((1, 8, 8), np.uint8)
    truth[0, 1:7, 1:4] = 1
    guess[0, 1:7, 5:8] = 1
    images = PreviewImages(image, np.zeros(1, int), truth, guess)
    picture = paint(images, 0, (8, 4), truth=TRUTH, prediction=PREDICTION)
    contours = {"o": TRUTH, "^": PREDICTION}
    assert marked(picture, contours)[0].tolist() == ["", "o", "o", "o", "", "^", "^", "^"]
    rows = ["".join(text for text, _ in line) for line in letters(picture, marks=marked(picture, contours))]
    assert rows[0] == "+ooo+^^^".replace("+", rows[0][0])
    assert rows[1][2] == rows[0][0]  # inside of a contour stands the image
    assert not set(rows[0][0]) & {"o", "^"}
