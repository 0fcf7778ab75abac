"""Colours of the screen: one palette for dark and one for light terminals, safe for colour-blind eyes.

The colours are those of the figures and the report (Okabe and Ito 2008), made lighter where they
stand on a dark ground. Greys are so near to grey that 256 colours have them as greys. No meaning rests on
a colour alone: series have marks, states have words.
"""

from dataclasses import dataclass
from functools import lru_cache

from rich.style import Style
from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by their meaning, as ``#rrggbb``."""

    name: str
    dark: bool
    ground: str  # behind everything
    raised: str  # behind what is chosen: the row under the cursor, the head
    ink: str  # text; the training series
    muted: str  # labels, axes
    faint: str  # borders, empty parts of bars
    band: str  # behind a smoothed line: where its raw values lie
    accent: str  # focus, validation series, best epoch
    truth: str
    prediction: str
    warning: str
    error: str
    series: tuple[str, ...]  # classes, in turn

    def color(self, name: str) -> str:
        """A colour by its name, by its place in the series, or as ``#rrggbb``."""
        if name.startswith("#"):
            return name
        return self.series[int(name) % len(self.series)] if name.isdigit() else str(getattr(self, name))


DARK = Palette(
    name="medtui-dark",
    dark=True,
    ground="#0e1217",
    raised="#20252b",
    ink="#e2e4e6",
    muted="#8d99a8",
    faint="#3a4553",
    band="#2f353c",
    accent="#2fc79b",
    truth="#56b4e9",
    prediction="#f0a818",
    warning="#fff176",
    error="#ff7a45",
    series=("#56b4e9", "#f0a818", "#2fc79b", "#dd8fb8", "#f0e442", "#ff7a45", "#9fb4ff", "#c9a46c"),
)
LIGHT = Palette(
    name="medtui-light",
    dark=False,
    ground="#fbfbf9",
    raised="#e9eaeb",
    ink="#1f2328",
    muted="#59636e",
    faint="#c3cad2",
    band="#dde2e8",
    accent="#00795a",
    truth="#0072b2",
    prediction="#a35f00",
    warning="#94407a",
    error="#c24400",
    series=("#0072b2", "#a35f00", "#00795a", "#a94f80", "#6b6100", "#c24400", "#4b57b8", "#7a5a20"),
)
PALETTES = {palette.name: palette for palette in (DARK, LIGHT)}

MARKS = "●▲■◆▼★○△"  # marks of the series, in turn: they tell what colours may not


def mark(place: int) -> str:
    """The mark of a series."""
    return MARKS[place % len(MARKS)]


@lru_cache(maxsize=4096)
def style_of(look: str, palette: str) -> Style:
    """A Rich style; made once, because a screen has thousands of pieces and few styles.

    ``look``: a colour of the palette by its name, ``bold`` or not, on its ground or another one: ``error bold``,
    ``2 on raised``, ``#ffffff on #000000``.
    """
    colors = PALETTES.get(palette, DARK)
    front, _, ground = look.partition(" on ")
    name, _, bold = front.partition(" ")
    return Style(color=colors.color(name), bgcolor=colors.color(ground or "ground"), bold=bool(bold) or None)


def textual_theme(palette: Palette) -> Theme:
    """The palette for Textual's own widgets: help, command palette, inputs."""
    return Theme(
        name=palette.name,
        primary=palette.accent,
        secondary=palette.muted,
        accent=palette.accent,
        warning=palette.warning,
        error=palette.error,
        success=palette.accent,
        foreground=palette.ink,
        background=palette.ground,
        surface=palette.raised,
        panel=palette.raised,
        dark=palette.dark,
    )
