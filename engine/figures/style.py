"""The one place where fonts, sizes and colours of every figure and of the report are set.

Colours are Okabe and Ito's (2008), which people who do not see red and green tell apart; what a colour
says is said again by a line style, a marker or a label, so that a grey print loses nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from engine.runfolder import write_with

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRUTH = "#0072B2"  # solid lines
PREDICTION = "#E69F00"  # dashed lines
ACCENT = "#009E73"  # the validation split, the best epoch
WARNING = "#D55E00"
INK = "#1F2328"
MUTED = "#6B7280"
FAINT = "#D5D9DF"
PAPER = "#FFFFFF"

CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#8C6D1F")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)))

SEQUENTIAL = "YlGnBu"  # distances
HEAT = "inferno"  # class activation maps
SHARES = "Blues"  # confusion

WIDTH = 7.2  # inches: the text width of an A4 or letter page
TITLE, LABEL, SMALL = 9.5, 8.5, 7.0  # points

warnings.filterwarnings("ignore", "Glyph ")  # `missing_letters` is what the report says of them
_SCRIPTS = ("SC", "TC", "JP", "KR")  # Chinese, simplified and traditional, Japanese, Korean
_LATIN = 0x24F  # the last letter of Latin Extended-B, all of which DejaVu Sans has

Look: TypeAlias = dict[str, Any]  # keyword arguments of Matplotlib
_RC: Look = {
    "font.size": LABEL,
    "axes.titlesize": TITLE,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": LABEL,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL + 0.5,
    "ytick.labelsize": SMALL + 0.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.fontsize": SMALL + 0.5,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",  # the same letters on every machine
    "svg.hashsalt": "medtui",  # the same bytes for the same figure
    "text.parse_math": False,  # a case called "a$b$" is a name, not a formula
}


_FALLBACKS = (
    *(f"{family} {script}" for family in ("Noto Sans CJK", "Noto Sans", "Source Han Sans") for script in _SCRIPTS),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAGothic", "TakaoGothic", "VL Gothic"),
    *("NanumGothic", "Microsoft YaHei", "SimHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans"),
    *("Arial Unicode MS", "Noto Sans Thai", "Noto Sans Devanagari", "Unifont"),
)


@cache
def families() -> tuple[str, ...]:
    """DejaVu Sans, which comes with Matplotlib, and what is installed for the letters that it lacks."""
    from matplotlib.font_manager import fontManager

    present = {font.name for font in fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in present))


def missing_letters(text: str) -> str:
    """The letters of ``text`` that none of `families` has: figures show a box for each."""
    letters = {letter for letter in text if ord(letter) > _LATIN and letter.isprintable()}
    if not letters:
        return ""
    from matplotlib.font_manager import findfont, get_font

    known = set().union(*(get_font(findfont(name)).get_charmap() for name in families()))
    return "".join(sorted(letter for letter in letters if ord(letter) not in known))


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's settings of this project, while the context lasts."""
    import matplotlib as mpl

    look: Look = {**_RC, "font.family": list(families())}
    with mpl.rc_context(look):  # type: ignore[arg-type]  # the stubs list every key as a Literal
        yield


def new_figure(width: float = WIDTH, height: float = 3.0, **options: Any) -> Figure:
    """An empty figure of ``width`` x ``height`` inches that needs no display and no pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=options.pop("layout", "constrained"), **options)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, dpi: int, *, vector: bool = True) -> None:
    """Write ``path`` (PNG) and, where lines rather than pixels are shown, the SVG beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(dpi)  # small letters are wider at some resolutions than at others
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # laid out once: solving it again, or drawing to see, takes longer than the file
    box = figure.get_tightbbox().padded(0.06)
    metadata = {"Software": "medtui"}
    write_with(path, lambda target: figure.savefig(target, dpi=dpi, metadata=metadata, bbox_inches=box))
    if vector:
        options: Look = {"Date": None, "Creator": "medtui"}
        vectors = path.with_suffix(".svg")
        write_with(vectors, lambda target: figure.savefig(target, dpi=dpi, metadata=options, bbox_inches=box))


def new_panels(count: int, columns: int, row: float, beside: float) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels, ``columns`` of them in a row.

    Args:
        columns: at most so many in a row.
        row: inches of each row.
        beside: inches of what stands above and below.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new_figure(WIDTH, rows * row + beside)
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in panels[count:]:
        spare.remove()
    return figure, panels[:count]


def shared_legend(
    figure: Figure, panels: Sequence[Axes], side: Literal["right", "left"] = "right", most: int = 99
) -> None:
    """One legend for all panels, outside of them, each label once."""
    seen: Look = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            seen.setdefault(label, handle)
    if seen:
        place: Any = f"outside upper {side}"
        figure.legend(list(seen.values()), list(seen), loc=place, ncols=min(most, len(seen)))


def colour_bar(figure: Figure, cmap: str, top: float = 1.0, **place: Any) -> Any:
    """A bar of the colours from 0 to ``top``, without a frame; ``place`` as for `Figure.colorbar`."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = figure.colorbar(ScalarMappable(Normalize(0, top), cmap), **place)
    bar.outline.set_visible(False)
    return bar


def bare(axes: Axes) -> None:
    """An image without ticks and frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def line_style(index: int) -> Look:
    """Colour and dashes of series number ``index``: no two of the first 40 are alike."""
    return {"color": CYCLE[index % len(CYCLE)], "linestyle": DASHES[(index + index // len(CYCLE)) % len(DASHES)]}


def grid(axes: Axes, axis: str = "y") -> None:
    """Faint guide lines behind the data."""
    axes.grid(True, axis=axis)  # type: ignore[arg-type]


def unit_square(axes: Axes) -> None:
    """Both axes from 0 to 1, as ROC, precision-recall and reliability have them."""
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_aspect("equal")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])
    grid(axes, "both")
