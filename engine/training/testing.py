"""The last phase of a run: its splits are measured with the chosen checkpoint."""

from engine.distributed import rank
from engine.evaluation.tester import Tester
from engine.network import Network
from engine.runfolder import update_manifest
from engine.training.session import Session


def test(session: Session, network: Network) -> None:
    """Measure the validation and the test split with the chosen checkpoint."""
    tester = Tester(session.folder, session.recipe, network, session.emit, session.progress)
    if rank() == 0:
        update_manifest(session.folder, checkpoint=tester.facts)
    tested = session.recipe.evaluate.test and session.dataset.split("test")
    drawn = "test" if tested else "validation"  # figures show what stands in for the test
    for split in ("validation", "test") if session.recipe.evaluate.test else ("validation",):
        if session.dataset.split(split):
            summary = tester.measure(session.dataset, split, split, keep=split == drawn)
            if split == "test":
                session.board.set(test=summary.value(session.recipe.monitor))
    if not session.dataset.split("test"):
        session.log("there is no test split: nothing was tested", "warning")
