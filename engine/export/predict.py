#!/usr/bin/env python3
"""Predict new images with the network in this folder: neither PyTorch nor medtui is needed.

    pip install -r requirements.txt
    python predict.py IMAGE... -o OUT

An IMAGE is a file, or a folder of files. Volumes are NIfTI, NRRD or MetaImage, or a folder with the slices of a DICOM
series; a folder of such, or with several, gives a case each. Pictures are PNG, JPEG, TIFF, BMP, WebP or DICOM. Several
files or series <case>_0000, <case>_0001, ... are the channels of one volume. Masks have the geometry of their input,
and are NIfTI of volumes, PNG of pictures; classes come as one table, OUT/predictions.csv. What the network expects
stands in model.json, and what is done with it in the folder program. This is no medical device.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROGRAM = (
    f"program_{hashlib.sha256(os.fsencode(HERE)).hexdigest()[:16]}"  # other folders have others, also in one process
)


def load(package: Path) -> Any:
    """The module of the command in a package, which need not be where Python looks for such."""
    if PROGRAM not in sys.modules:
        found = spec_from_file_location(PROGRAM, package / "__init__.py")
        if found is None or found.loader is None:
            raise OSError(f"cannot read {package}")
        module = module_from_spec(found)
        found.loader.exec_module(module)
        sys.modules[PROGRAM] = module
    return import_module(f"{PROGRAM}.command")


def main(words: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 some inputs could not be read and were left out, 2 something is wrong and the rest was not
    predicted, 130 interrupted, 143 terminated."""
    again = f"{HERE / 'program'} is damaged: copy the folder again"
    try:
        command = load(HERE / "program")
        return int(command.main(words, HERE, __doc__))
    except ImportError as absent:
        own = (absent.name or "").startswith(PROGRAM)
        why = again if own else f"{absent}: pip install -r {HERE / 'requirements.txt'}"
        print(f"error: {why}", file=sys.stderr)
    except (OSError, SyntaxError, NameError, AttributeError):  # a file that is cut off may still be Python
        print(f"error: {again}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
