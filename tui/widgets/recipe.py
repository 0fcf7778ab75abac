"""The recipe of the run, by tables."""

from tui.plotting.cells import Line, fit
from tui.state.feed import RunSnapshot
from tui.text import one_line, wrapped
from tui.widgets.pane import Pane


class RecipePane(Pane):
    """Key and value a line."""

    ID = NAME = TITLE = "recipe"

    def depends_on(self, snapshot: RunSnapshot) -> tuple[object, ...]:
        return (snapshot.recipe_text,)

    def body(self, width: int, height: int) -> list[Line]:
        text = self.snapshot.recipe_text if self.snapshot else None
        if not text:
            return self.reason(
                "recipe.toml is not there yet" if text is None else "recipe.toml is empty", width, height
            )
        lines: list[Line] = []
        label = min(22, max(10, width // 3))
        for raw in text.splitlines():
            row = one_line(raw).strip()
            key, equals, value = row.partition("=")
            if row.startswith("[") and row.endswith("]"):
                lines.append([(row, "accent bold")])
            elif equals:
                name = fit(key.strip(), label)
                for part in wrapped(value.strip(), max(4, width - label - 3)) or [""]:
                    lines.append([(f"  {name} ", "muted"), (part, "ink")])
                    name = " " * label
            elif row:
                lines.append([(row, "muted")])
        return lines

    def copied(self) -> str:
        return (self.snapshot.recipe_text or "") if self.snapshot else ""

    def note(self) -> Line:
        text = self.snapshot.recipe_text if self.snapshot else None
        return [("scroll for more", "muted")] if text and self.size.height < text.count("\n") else []
