"""Figures of explorations, of the model's errors and of cycles, from their records."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hwgen.spec.axes import BY_COLUMN

LABELS = {
    "area_ge": "core area, gate equivalents (NAND2)",
    "area_um2": "core area, µm²",
    "cycles_per_token": "cycles per token",
    "weight_bits_per_token": "weight bits read per token",
    "act_bits_per_token": "activation bits read per token",
    "sum_bits_per_token": "result bits written per token",
    "clock_ns": "clock period, ns",
    "ns_per_token": "time per token, ns",
    "core_energy_fj_per_token": "energy of the cores per token, fJ",
    "energy_fj_per_token": "energy of cores and memory per token, fJ",
    "first_token_cycles": "cycles to the first token",
    "utilisation": "share of the multiply-accumulates possible",
    "tokens_per_second": "tokens per second",
    "latency_ms": "time to the first token, ms",
    "bandwidth_gbs": "weights read, GB/s",
    "power_mw": "power, mW",
}
# Okabe and Ito's colours, which people with any colour vision can tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS = {"signflip": "^", "multiplier": "s"}
TILE_LABELS = {"tile_n": "inputs per tile n", "tile_m": "outputs per tile m"}
UNITS = {
    "um2": "µm²",
    "ge": "GE",
    "ns": "ns",
    "ms": "ms",
    "fj": "fJ",
    "mw": "mW",
    "mhz": "MHz",
    "gbs": "GB/s",
    "bits": "bits",
}
"""Units by the word that says them in a column's name."""


def label_of(column: str) -> str:
    """What a column of results is called, with its unit; of unknown ones its words."""
    axis = BY_COLUMN.get(column)
    if label := axis.label if axis else LABELS.get(column) or TILE_LABELS.get(column):
        return label
    unit = unit_of(column)
    words = [word for word in column.split("_") if UNITS.get(word) != unit]
    return " ".join(words) + (f", {unit}" if unit else "")


def unit_of(column: str) -> str:
    """The short unit of a column: an axis' own, or as the words of its name tell it."""
    if axis := BY_COLUMN.get(column):
        return axis.unit
    return next((UNITS[word] for word in column.split("_") if word in UNITS), "")


def series_of(results: pd.DataFrame) -> pd.Series:
    """What a point is drawn as: its kind, with µ for tables."""
    luts = results["kind"] == "lut"
    return results["kind"].where(~luts, "lut, µ = " + results["mu"].astype(str))


def pareto_figure(
    results: pd.DataFrame, across: tuple[str, bool], up: tuple[str, bool], title: str, best: int
) -> Figure:
    """All points of two objectives on logarithmic axes, the front as a line, the best ringed.

    results: one row per point with the columns of ``across`` and ``up`` (each a column and whether
    more is better), ``kind``, ``mu`` and ``front``; ``best`` is the position of the row to ring. Of
    the front, what is best in these two is drawn.
    """
    (x, more_x), (y, more_y) = across, up
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    names = series_of(results)
    for colour, (name, points) in zip(COLOURS * 8, results.groupby(names, sort=True), strict=False):
        marker = MARKERS.get(str(name), "o")
        axes.scatter(
            points[x], points[y], s=16, alpha=0.5, color=colour, label=name, lw=0, marker=marker
        )
    front = results[results["front"]]
    front = front.sort_values([x, y], ascending=[not more_x, not more_y])
    rank = -front[y] if more_y else front[y]
    stairs = front[rank < rank.cummin().shift(fill_value=float("inf"))]
    axes.plot(
        stairs[x],
        stairs[y],
        drawstyle="steps-post",
        color="black",
        lw=1.2,
        zorder=3,
        label=f"Pareto front ({len(front)} cores)",
    )
    axes.scatter(stairs[x], stairs[y], s=16, color="black", zorder=4, lw=0)
    chosen = results.iloc[best]
    axes.scatter(
        chosen[x],
        chosen[y],
        s=130,
        facecolors="none",
        edgecolors="#D55E00",
        lw=2.2,
        zorder=5,
        label="least product of both",
    )
    axes.set(xscale="log", yscale="log", xlabel=LABELS[x], ylabel=LABELS[y], title=title)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(_short))
    axes.grid(alpha=0.25, which="both", lw=0.5)
    axes.legend(frameon=False, markerscale=1.4)
    return figure


def sensitivity_figure(shares: pd.DataFrame, title: str) -> Figure:
    """Bars of `costmodel.explore.sensitivity.sensitivity`: a group for each axis, what matters most
    first.

    A colour is an objective.
    """
    ordered = shares.loc[shares.max(axis=1).sort_values(ascending=False, kind="stable").index]
    count = len(ordered.columns)
    height = 0.8 / count
    figure = Figure(figsize=(7, 1.5 + len(ordered) * (0.1 + 0.15 * count)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    for place, (objective, colour) in enumerate(zip(ordered.columns, COLOURS * 8, strict=False)):
        at = [row + (place - (count - 1) / 2) * height for row in range(len(ordered))]
        widths = (100 * ordered[objective]).tolist()
        bars = axes.barh(at, widths, height=height, color=colour, label=label_of(str(objective)))
        axes.bar_label(bars, fmt="%.0f %%", padding=3, fontsize=7)
    axes.set_ylim(len(ordered) - 0.4, -0.6)  # The first one on top.
    axes.set_yticks(range(len(ordered)), [label_of(str(axis)) for axis in ordered.index])
    axes.set(xlim=(0, 110), xlabel="share of the variance of the logarithm explained, %")
    axes.set_xticks(range(0, 101, 20))
    axes.grid(axis="x", alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.legend(loc="outside lower center", ncols=min(count, 2), frameon=False)
    return figure


def breakdown_figure(parts: Mapping[str, float], label: str, title: str) -> Figure:
    """What one core's area (or whatever ``label`` says) is made of: a bar per part, none of 0."""
    shown = {name: value for name, value in parts.items() if value}
    total = sum(shown.values())
    figure = Figure(figsize=(7, 1.4 + 0.36 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    bars = axes.barh(list(shown), list(shown.values()), color=COLOURS[0], height=0.7)
    texts = [f"{value:,.0f} ({100 * value / total:.0f} %)" for value in shown.values()]
    axes.bar_label(bars, labels=texts, padding=4, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * max(shown.values(), default=1))
    axes.set(xlabel=f"{label}; together {total:,.0f}")
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    axes.grid(axis="x", alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure


class Panel(NamedTuple):
    """One quantity of one technology. ``cores``: as `costmodel.judge.errors.judge` takes them."""

    title: str
    cores: pd.DataFrame
    quantity: str
    mean_error: float


def validation_figure(panels: Sequence[Sequence[Panel]]) -> Figure:
    """Predicted against synthesised, a row of panels a technology; the band is 10 % either way."""
    rows, columns = len(panels), max(map(len, panels))
    figure = Figure(figsize=(3.6 * columns, 3.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for line, axes_line in zip(panels, grid, strict=True):
        for axes in axes_line[len(line) :]:
            axes.set_axis_off()
        for panel, axes in zip(line, axes_line, strict=False):
            _validation_panel(panel, axes)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _validation_panel(panel: Panel, axes: Axes) -> None:
    measured = panel.cores[f"synthesised_{panel.quantity}"].astype(float)
    predicted = panel.cores[f"predicted_{panel.quantity}"].astype(float)
    ends = [
        min(measured.min(), predicted.min()) / 1.3,
        max(measured.max(), predicted.max()) * 1.3,
    ]
    axes.fill_between(
        ends, [end / 1.1 for end in ends], [end * 1.1 for end in ends], color="0.88", lw=0
    )
    axes.plot(ends, ends, color="0.4", lw=0.8)
    groups = panel.cores["group"]
    for colour, marker, name in zip(COLOURS, "os^D", ("inside", "outside", "large"), strict=False):
        here = groups == name
        axes.scatter(measured[here], predicted[here], s=14, color=colour, marker=marker, label=name)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="synthesised", ylabel="predicted")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(_short))
        axis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=8)
    axes.set_title(
        f"{panel.title}\n{len(measured)} cores, mean error {panel.mean_error:.1%}", fontsize=9
    )
    axes.set_aspect("equal")
    axes.grid(alpha=0.25, lw=0.5)


CAUSES = {
    "work": "multiply-accumulates",
    "padding": "padding of tiles",
    "waits": "waiting for the accumulating adder",
    "latency": "filling and draining",
    "stalls": "waiting for weights",
}
"""Where cycles go, and how it is called."""


def cycles_figure(
    title: str, panels: Sequence[tuple[str, Mapping[str, Mapping[str, float]]]]
) -> Figure:
    """Cycles of each kind of layer by cause (``CAUSES``), a panel for each phase, top first."""
    rows = [len(bars) for _, bars in panels]
    size = (9, 1.6 + sum(0.5 + 0.32 * count for count in rows))
    figure = Figure(figsize=size, layout="constrained")
    axes_column = figure.subplots(len(panels), 1, squeeze=False, height_ratios=rows)[:, 0]
    for (name, bars), axes in zip(panels, axes_column, strict=True):
        start = dict.fromkeys(bars, 0.0)
        for (cause, label), colour in zip(CAUSES.items(), COLOURS, strict=False):
            widths = [bar[cause] for bar in bars.values()]
            if any(any(one[cause] for one in drawn.values()) for _, drawn in panels):
                axes.barh(list(bars), widths, left=list(start.values()), color=colour, label=label)
            start = {bar: start[bar] + width for bar, width in zip(bars, widths, strict=True)}
        axes.invert_yaxis()
        axes.set_title(name, fontsize=10, loc="left")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.grid(axis="x", alpha=0.25, lw=0.5)
        axes.spines[["top", "right"]].set_visible(False)
    axes_column[-1].set_xlabel("cycles")
    figure.suptitle(title)
    handles, labels = axes_column[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def picture(figure: Figure, kind: str) -> bytes:
    """The figure as a ``png`` or ``svg`` file; the same bytes for the same figure."""
    stream = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "hwgen", "svg.fonttype": "none"}):
        figure.savefig(stream, format=kind, dpi=150, metadata=metadata)
    return stream.getvalue()


def _short(value: float, _: object) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value:g}"
