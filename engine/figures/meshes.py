"""Surfaces of masks and their distances. Used by the process that renders; needs PyVista, but no OpenGL."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyvista as pv
from scipy.spatial import cKDTree

KINDS = ("truth", "prediction", "prediction_distance", "truth_distance")  # the columns of the figure


@dataclass
class Scene:
    """The surfaces of one case."""

    meshes: dict[str, list[Any]]  # kind -> for each class its surface (PolyData), or None where the mask is empty
    centre: np.ndarray  # of all surfaces together, (3,)
    radius: float  # of the sphere around them
    # of all vertices of both surfaces to the other one
    distances: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def highest(self) -> float:
        """Upper end of the colour scale: the 99th percentile of the distances, so that one spike hides nothing."""
        return float(np.percentile(self.distances, 99)) if self.distances.size else 1.0


def build(truth: np.ndarray, prediction: np.ndarray, spacing: np.ndarray) -> Scene:
    """Surfaces of every class of two label maps uint8 (X, Y, Z), each with its distance to the other.

    The array ``distance`` of a surface holds, for every vertex, the distance to the surface of the same class in
    the other label map, in the unit of ``spacing``; a class that the other one lacks has none.

    Raises:
        ValueError: both label maps are empty.
    """
    count = int(max(truth.max(), prediction.max()))
    if count == 0:
        raise ValueError("truth and prediction are empty")
    pairs = [(surface(truth == k, spacing), surface(prediction == k, spacing)) for k in range(1, count + 1)]
    distances = []
    for first, second in pairs:
        if first is not None and second is not None:
            for mesh, other in ((first, second), (second, first)):
                mesh.point_data["distance"] = distance(mesh.points, other, near=4 * float(np.max(spacing)))
                distances.append(np.asarray(mesh.point_data["distance"]))
    meshes = {
        "truth": [pair[0] for pair in pairs],
        "prediction": [pair[1] for pair in pairs],
        "prediction_distance": [pair[1] for pair in pairs],
        "truth_distance": [pair[0] for pair in pairs],
    }
    points = np.concatenate([mesh.points for pair in pairs for mesh in pair if mesh is not None])
    low, high = points.min(axis=0), points.max(axis=0)
    centre = (low + high) / 2
    radius = float(np.linalg.norm(points - centre, axis=1).max())
    return Scene(meshes, centre, radius, np.concatenate(distances) if distances else np.zeros(0))


def distance(points: np.ndarray, mesh: Any, near: float) -> np.ndarray:
    """Distance of ``points`` (N, 3) to the surface ``mesh``, (N,).

    To the triangles where it is below ``near``. Beyond, where VTK's exact search takes most of the time of a
    figure, to the nearest vertex: too large by h**2 / (2 * near) at most, with h the reach of a triangle around
    its vertex, less than a voxel: an eighth of a voxel for ``near`` = 4 voxels, hundredths as a rule.
    """
    found, _ = cKDTree(mesh.points).query(points, workers=-1)
    close = np.flatnonzero(found < near)
    if close.size:
        exact = pv.PolyData(np.asarray(points)[close]).compute_implicit_distance(mesh)
        found[close] = np.abs(exact.point_data["implicit_distance"])
    return np.asarray(found)


def surface(mask: np.ndarray, spacing: np.ndarray) -> Any:
    """The smoothed surface of a binary mask (X, Y, Z); None where it is empty. Single voxels are kept."""
    if not mask.any():
        return None
    padded = np.pad(mask, 1).astype(np.float32)
    grid = pv.ImageData(dimensions=padded.shape, spacing=tuple(spacing), origin=tuple(-np.asarray(spacing)))
    grid.point_data["inside"] = padded.ravel(order="F")
    mesh = grid.contour([0.5], scalars="inside", method="flying_edges")
    mesh = mesh.smooth_taubin(n_iter=20, pass_band=0.1)
    return mesh.compute_normals(point_normals=True, cell_normals=False, split_vertices=False, auto_orient_normals=False)
