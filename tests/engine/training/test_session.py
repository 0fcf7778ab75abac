"""The trainer writes down what its readers find, and they say the same."""

from __future__ import annotations

from engine.events import Diagnosed
from engine.readers.health import read_findings
from engine.runfolder import stored_status
from tests.engine.runs import SEGMENTATION, events, run

STANDING = SEGMENTATION.replace('[schedule]\nname = "cosine"\nwarmup_epochs = 1.0\n', "")


def test_findings_stand_in_the_stream_and_in_the_status(tmp_path):
    code, folder = run(tmp_path, STANDING, "train.epochs=14", "optimizer.lr=1e-12", 'schedule.name="constant"')
    assert code == 0
    left = stored_status(folder).findings
    assert left is not None
    assert "plateau" in {finding.code for finding in left}
    assert read_findings(folder) == left
    said = [event for event in events(folder) if isinstance(event, Diagnosed)]
    standing: set[str] = set()
    for event in said:
        assert event.over == (event.code in standing)  # it comes, and goes, and comes
        (standing.discard if event.over else standing.add)(event.code)
    assert standing == {finding.code for finding in left}
    assert all(event.remedy and event.message for event in said if not event.over)
