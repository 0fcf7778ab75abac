"""Memory of PyTorch on a processor: in large pages, and kept from step to step. To be set before PyTorch comes.

A step takes and gives back gigabytes for activations, and the kernel clears each page before it hands it out again.
What that costs, and what this saves, stands in docs/benchmarks.md.
"""

import ctypes
import os
import platform

_NO_MAPPING, _NO_TRIMMING = (-4, 0), (-1, -1)  # M_MMAP_MAX and M_TRIM_THRESHOLD of glibc's malloc.h


def large_pages() -> None:
    """Let PyTorch have its memory in pages of 2 MB where the kernel gives them when asked: fewer are to be cleared."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def keep_memory() -> None:
    """Let the C library keep what is given back to it, where that is glibc and nobody has set its allocator up."""
    told = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if _glibc() and not told:
        library = ctypes.CDLL(None)
        for setting in (_NO_MAPPING, _NO_TRIMMING):
            library.mallopt(*setting)


def give_memory_back() -> None:
    """Let the kernel have what the C library keeps and does not use.

    What is taken next may be of other sizes, and find no place in what is free.
    """
    if _glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
