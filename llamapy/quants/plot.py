"""Pictures of quantization errors; needs matplotlib, the `plot` extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError

if TYPE_CHECKING:
    from .report import Report


def figure_class() -> Any:
    """matplotlib's Figure, or what to do to have it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnsupportedError(
            "drawing a report needs matplotlib: pip install 'llamapy[plot]'"
        ) from error
    return Figure


def plot_report(report: Report) -> Any:
    """Signal over noise: each format's line over the layers, and a map of the kinds of tensors."""
    figure = figure_class()(figsize=(11, 7.5), layout="constrained")
    lines, heat = figure.subplots(2, 1)

    layers = [e for e in report.by_layer() if e.layer is not None or e.tensor.startswith("blk.")]
    for name in report.formats:
        points = [(int(e.tensor[4:]), e.snr) for e in layers if e.format == name]
        if points:
            bits = next(e.bits for e in layers if e.format == name)
            lines.plot(
                *zip(*sorted(points), strict=True), "o-", ms=4, label=f"{name} ({bits:.2f} bits)"
            )
    lines.set(xlabel="layer", ylabel="signal over noise, dB", title="Error by layer")
    lines.grid(alpha=0.3)
    if layers:
        lines.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    kinds = report.by_kind()
    names = list(dict.fromkeys(e.tensor for e in kinds))
    snr = {(e.tensor, e.format): e.snr for e in kinds}
    table = [[snr.get((kind, fmt), float("nan")) for kind in names] for fmt in report.formats]
    image = heat.imshow(table, aspect="auto", cmap="viridis")
    heat.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    heat.set_yticks(range(len(report.formats)), report.formats)
    middle = sum(image.get_clim()) / 2
    for i, row in enumerate(table):
        for j, value in enumerate(row):
            colour = "black" if value > middle else "white"
            heat.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=8, color=colour)
    heat.set_title("Signal over noise by kind of tensor, dB")
    return figure
