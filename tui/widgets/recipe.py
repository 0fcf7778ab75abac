"""The recipe of the run, by tables."""

from __future__ import annotations

from tui.widgets.cells import Line, fit, one_line
from tui.widgets.pane import Pane


class RecipePane(Pane):
    """Key and value a line."""

    TITLE = "recipe"
    KEYS = (("↑↓", "scroll", "scroll(1)"), ("v", "copy path", "copy"))

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.text: str | None = None

    def body(self, width: int, height: int) -> list[Line]:
        if not self.text:
            return self.reason(
                "recipe.toml is not there yet" if self.text is None else "recipe.toml is empty", width, height
            )
        lines: list[Line] = []
        label = min(22, max(10, width // 3))
        for raw in self.text.splitlines():
            row = one_line(raw).strip()
            key, equals, value = row.partition("=")
            if row.startswith("[") and row.endswith("]"):
                lines.append([(row, self.look("accent", bold=True))])
            elif equals:
                shown = fit(value.strip(), max(4, width - label - 3)).rstrip()
                lines.append([(f"  {fit(key.strip(), label)} ", self.look("muted")), (shown, self.look("ink"))])
            elif row:
                lines.append([(row, self.look("muted"))])
        return lines

    def note(self) -> Line:
        return (
            [("scroll for more", self.look("muted"))] if self.text and self.size.height < self.text.count("\n") else []
        )
