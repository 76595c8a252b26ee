"""Plots of a batch as SVG to stand in a page: no script, no font, no address, and words in the colour of the page's."""

import re
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from wtb.domain.errors import ExtraMissing
from wtb.sdk.batches.result import BatchResult
from wtb.sdk.batches.statistics.score_statistics import Interval, ScoreStatistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#010203"
"""Stands for the colour of the page's text while a plot is drawn."""
COLOURS = {"better": "#2da44e", "worse": "#cf222e"}
PLAIN = "#4477aa"
LONGEST_NAME = 40
MOST_BARS = 40
"""Combinations that a plot shows; more of them can't be told apart."""

Draw = Callable[["Axes"], None]


def means(result: BatchResult, found: ScoreStatistics, name: str) -> str | None:
    """Each combination's mean with its interval; None where there are no means."""
    shown = [summary for summary in found.summaries if summary.mean is not None][:MOST_BARS]
    if not shown:
        return None
    compared = [found.compared(summary.combination) for summary in shown]
    colours = [COLOURS.get((each and each.verdict) or "", PLAIN) for each in compared]
    points = [(result.names[s.combination], s.mean or 0.0, s.interval) for s in shown]
    return _plot(name, len(points), lambda axes: _intervals(axes, points, colours, found.name))


def differences(result: BatchResult, found: ScoreStatistics, name: str) -> str | None:
    """How much each combination differs from the baseline, case by case, with the interval; None without any."""
    shown = [each for each in found.comparisons if each.difference is not None][:MOST_BARS]
    if not shown:
        return None
    colours = [COLOURS.get(each.verdict or "", PLAIN) for each in shown]
    points = [(result.names[each.combination], each.difference or 0.0, each.interval) for each in shown]

    def draw(axes: "Axes") -> None:
        axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
        _intervals(axes, points, colours, f"{found.name}: difference from {_short(result.names[found.baseline])}")

    return _plot(name, len(points), draw)


def latencies(result: BatchResult, name: str) -> str | None:
    """How long completed trials took, by combination; None without any."""
    groups: list[list[float]] = [[] for _ in result.combinations]
    for outcome in result.outcomes:
        if outcome.status == "completed":
            groups[outcome.trial.combination].append(outcome.duration.total_seconds())
    shown = [(label, group) for label, group in zip(result.names, groups, strict=True) if group][:MOST_BARS]
    if not shown:
        return None

    def draw(axes: "Axes") -> None:
        axes.boxplot(
            [group for _, group in reversed(shown)],
            orientation="horizontal",
            widths=0.5,
            boxprops={"color": PLAIN},
            whiskerprops={"color": PLAIN},
            capprops={"color": PLAIN},
            medianprops={"color": INK},
            flierprops={"markeredgecolor": PLAIN, "markersize": 3},
        )
        _label(axes, [label for label, _ in shown], "seconds of a completed trial", first=1)

    return _plot(name, len(shown), draw)


# --- drawing ------------------------------------------------------------------------------------------


def _intervals(
    axes: "Axes", points: Sequence[tuple[str, float, Interval | None]], colours: Sequence[str], title: str
) -> None:
    """Points with their intervals, from top to bottom."""
    for place, ((_, value, interval), colour) in enumerate(zip(reversed(points), reversed(colours), strict=True)):
        if interval is not None:
            axes.plot([interval.low, interval.high], [place, place], color=colour, linewidth=2)
        axes.plot([value], [place], "o", color=colour)
    _label(axes, [label for label, _, _ in points], title)
    axes.set_ylim(-0.6, len(points) - 0.4)


def _label(axes: "Axes", labels: Sequence[str], title: str, first: int = 0) -> None:
    places = range(first, first + len(labels))
    axes.set_yticks([*places], [_short(label) for label in reversed(labels)])
    axes.set_xlabel(_short(title, 2 * LONGEST_NAME))


def _short(text: str, length: int = LONGEST_NAME) -> str:
    shown = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _plot(name: str, rows: int, draw: Draw) -> str:
    """An SVG element whose ids begin with ``name``. Raises `ExtraMissing`."""
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise ExtraMissing("a report with plots", "batch") from missing
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    settings: Any = {
        "svg.fonttype": "none",  # words as words: neither fonts nor their outlines
        "svg.hashsalt": name,
        "font.family": ["sans-serif"],
        "font.size": 9,
        "text.parse_math": False,  # the words are the user's
        **ink,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7, 0.7 + 0.32 * rows), layout="constrained")
        canvas, axes = FigureCanvasSVG(figure), figure.add_subplot()
        for patch in (figure.patch, axes.patch):
            patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#8886", linewidth=0.5)
        axes.set_axisbelow(True)
        draw(axes)
        written = StringIO()
        canvas.print_svg(written, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return _element(written.getvalue(), name)


def _element(document: str, name: str) -> str:
    """The root element of an SVG document, as HTML has it: without namespaces, ids of its own."""
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"\s+xmlns(:\w+)?=\"[^\"]*\"", "", svg, count=2)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"(\bid=\"|xlink:href=\"#|url\(#)", rf"\g<1>{name}-", svg)
    return svg.replace(INK, "currentColor")
