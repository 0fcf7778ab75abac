"""Surfaces as pictures with NumPy alone, for machines without OpenGL: points with depth, shaded by their normals."""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class View:
    """Where the eye is: unit vectors ``right``, ``up``, ``eye`` (from the scene to the eye); what is in the middle
    of the picture, and half of its width, in the unit of the points."""

    right: np.ndarray
    up: np.ndarray
    eye: np.ndarray
    centre: np.ndarray
    half: float


def picture(meshes: list[Any], colours: list[np.ndarray], view: View, size: int) -> np.ndarray:
    """uint8 (size, size, 3): orthographic view of ``meshes`` on white.

    Args:
        meshes: surfaces (PolyData with normals).
        colours: for each surface the colours of its vertices, float (n, 3) from 0 to 1.
        size: pixels.
    """
    image = np.ones((size, size, 3))
    pixel = 2 * view.half / size
    parts = [_points(mesh, colour, pixel) for mesh, colour in zip(meshes, colours, strict=True)]
    if not parts:
        return np.full((size, size, 3), 255, np.uint8)
    points, normals, shades = (np.concatenate(part) for part in zip(*parts, strict=True))
    front = normals @ view.eye > -0.1
    points, normals, shades = points[front] - view.centre, normals[front], shades[front]
    order = np.argsort(points @ view.eye, kind="stable")  # the nearest is painted last
    column = np.floor((points @ view.right / view.half + 1) / 2 * size).astype(int)[order]
    row = np.floor((1 - points @ view.up / view.half) / 2 * size).astype(int)[order]
    light = np.clip(normals @ (0.35 * view.right + 0.45 * view.up + 0.82 * view.eye), 0, 1)
    lit = np.clip(shades * (0.35 + 0.7 * light[:, None]), 0, 1)[order]
    at = np.full((size, size), -1, dtype=np.int64)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    at[row[inside], column[inside]] = np.flatnonzero(inside)  # of several in one pixel NumPy keeps the last
    nearest = at.copy()
    for right, down in itertools.product((-1, 0, 1), repeat=2):  # a point covers 3 x 3 pixels: no gap lets through
        nearest = np.maximum(nearest, np.roll(at, (down, right), axis=(0, 1)))
    image[nearest >= 0] = lit[nearest[nearest >= 0]]
    return np.asarray((255 * image).astype(np.uint8))


def _points(mesh: Any, colours: np.ndarray, pixel: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points spread evenly over the triangles, a little more than one to a pixel, with normals and colours."""
    points, normals = np.asarray(mesh.points, dtype=float), np.asarray(mesh.point_data["Normals"], dtype=float)
    faces = np.asarray(mesh.faces).reshape(-1, 4)[:, 1:]
    corners = points[faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    chosen = np.repeat(faces, np.ceil(1.3 * areas / pixel**2).astype(int), axis=0)
    weights = np.random.default_rng(0).dirichlet((1.0, 1.0, 1.0), len(chosen))
    values = [np.einsum("nk,nkc->nc", weights, array[chosen]) for array in (points, normals, colours)]
    return values[0], values[1], values[2]
