"""Run folder -> images, one kind a file; drawn without a display and without a GPU.

Importing this package imports neither torch nor matplotlib; each kind brings its own.
"""

from engine.figures.comparison import draw_comparison
from engine.figures.draw import KINDS, draw_all
from engine.readers.figure_index import FigureResult, read_index

__all__ = ["KINDS", "FigureResult", "draw_all", "draw_comparison", "read_index"]
