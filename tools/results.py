"""Put what runs measured into docs/results.md: ``python tools/results.py RUN_FOLDER...``.

Each run has a place there, between ``<!-- run NAME -->`` and ``<!-- end NAME -->``; what stands between is taken from
the run's report, so no number of that page is written by hand. Runs that did not finish are refused.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from engine.report import write_report
from engine.report.study import write_study_report
from engine.runfolder import RunFolder, read_status
from engine.runfolder.study import read_study

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
FACTS = ["Data", "Loss", "Evaluation", "Checkpoint", "Epochs", "Seed", "Prediction", "Duration", "Hardware", "Code"]
FACTS += ["Folds", "Seeds"]  # of a study


def measured(folder: RunFolder) -> str:
    """Facts and tables of the test, from the report of a finished run; of a study the result out of fold before it."""
    if (state := read_status(folder).state) != "finished":
        sys.exit(f"{folder.id} is {state}: only what ended is a result")
    paths = write_study_report(folder, read_study(folder)) if folder.is_study else write_report(folder)
    text = paths[1].read_text(encoding="utf-8")
    facts = [line for line in text.splitlines() if (found := re.match(r"- \*\*(\w+):", line)) and found[1] in FACTS]
    settings = re.findall(r"--set (\S+)", text.partition("The run was started with:")[2].partition("```\n")[0])
    facts += [f"- **Changed:** {', '.join(settings)}"] if settings else []
    tables = [
        section[1].rstrip()
        for name in ("out of fold", "test")
        if (section := re.search(rf"^## Results: {name}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL))
    ]
    if not tables:
        sys.exit(f"{folder.id} has no test")
    answers = re.findall(r"^> \*\*Answer:\*\* .*$", text, re.MULTILINE)
    return "\n".join([*dict.fromkeys(facts), *tables, *(f"\n{answer}" for answer in answers)])


def main(places: list[str]) -> None:
    """Fill the page."""
    page = PAGE.read_text(encoding="utf-8")
    for place in places:
        folder = RunFolder(Path(place))
        name = folder.id.split("-", 2)[2]
        marks = re.compile(rf"(<!-- run {re.escape(name)} -->\n).*?(<!-- end {re.escape(name)} -->)", re.DOTALL)
        content = measured(folder)
        page, count = marks.subn(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", page)  # noqa: B023
        if not count:
            sys.exit(f"{PAGE.name} has no place for {name}: write <!-- run {name} --> and <!-- end {name} --> there")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
