"""Run folder -> images, one kind a file; drawn without a display and without a GPU.

Importing this package imports neither torch nor matplotlib; each kind brings its own.
"""

from engine.figures.comparison import draw_comparison
from engine.figures.draw import draw_all
