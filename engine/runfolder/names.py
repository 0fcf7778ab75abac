"""Names of files in a run folder, made of names that come from elsewhere."""

import hashlib


def file_name(case_id: str) -> str:
    """A case id as a file name: what could leave the folder or trouble a shell becomes ``_``.

    An id that is changed gets eight digits of its SHA-256, so that no two ids share a file.
    """
    safe = "".join(c if c.isalnum() or c in "._-" else "_" for c in case_id).lstrip(".")[:120]
    if safe == case_id and safe:
        return safe
    digest = hashlib.sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{safe or 'case'}-{digest}"


def example_file(split: str, case: str) -> str:
    """The file of a case in ``examples/``: ``<split>_<case>.npz``, with no ``_`` in the split.

    Args:
        split: name of the result.
        case: a file name already, or ``*`` for a pattern of all.
    """
    return f"{file_name(split.replace('_', '-'))}_{case}.npz"
