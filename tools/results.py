"""Put what runs measured into docs/results.md: ``python tools/results.py RUN_FOLDER...``.

Each run has a place there, between ``<!-- run NAME -->`` and ``<!-- end NAME -->``; what stands between is taken from
the run's report, so no number of that page is written by hand. Runs that did not finish are refused.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from engine.report import write_report
from engine.runfolder import RunFolder, read_status

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
FACTS = ["Data", "Loss", "Evaluation", "Checkpoint", "Epochs", "Seed", "Prediction", "Duration", "Hardware", "Code"]


def measured(folder: RunFolder) -> str:
    """Facts and tables of the test, from the report of a finished run."""
    if (state := read_status(folder).state) != "finished":
        sys.exit(f"{folder.id} is {state}: only what ended is a result")
    text = write_report(folder)[1].read_text(encoding="utf-8")
    facts = [line for line in text.splitlines() if (found := re.match(r"- \*\*(\w+):", line)) and found[1] in FACTS]
    settings = re.findall(r"--set (\S+)", text.partition("The run was started with:")[2].partition("```\n")[0])
    facts += [f"- **Changed:** {', '.join(settings)}"] if settings else []
    section = re.search(r"^## Results: test\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    if section is None:
        sys.exit(f"{folder.id} has no test")
    return "\n".join(dict.fromkeys(facts)) + "\n" + section[1].rstrip()


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
