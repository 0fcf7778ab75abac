"""``medtui export``: a folder that predicts without PyTorch and without medtui."""

from engine.console import ends_clean
from engine.device import ELSEWHERE, memory_errors
from engine.errors import counted, printable
from engine.evaluation.trained import open_trained
from engine.export.folder import refuse_present, write_folder
from engine.export.network import refuse_missing
from engine.requests import Export
from engine.runfolder import RunFolder


@memory_errors(ELSEWHERE)
def export(request: Export) -> int:
    """Write the folder, and say how to use it and how far it was compared with PyTorch.

    Raises:
        UsageError: the folder is there and not empty, or cannot be written, or a library is missing; nothing is left.
        RunError: the run has no weights, or its network cannot be exported; nothing is left.
    """
    refuse_missing()
    refuse_present(request.output, force=request.force)
    with ends_clean(f"nothing half written is left at {request.output}"):
        trained = open_trained(RunFolder(request.run), checkpoint=request.checkpoint, device="cpu")
        differences = write_folder(trained, request.output, force=request.force)
    print(printable(f"{request.output}: {counted(len(differences), 'network')} in float32"))
    print(f"logits of a random image differ from PyTorch's by at most {max(differences):.1e}")
    print(printable(f"pip install -r {request.output}/requirements.txt"))
    print(printable(f"python {request.output}/predict.py IMAGE... -o OUT"))
    return 0
