"""Loops over voxels that Numba compiles."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """``function`` compiled without the GIL; kept on disk where a folder for that can be written."""
    compiler: Any = partial(numba.njit, nogil=True, error_model="numpy", **options)
    try:
        return compiler(cache=True)(function)
    except RuntimeError:
        return compiler()(function)
