"""Pictures of what `inspection` saw."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from mot_perception.training.fdta.similarity import ALIKE, cosines, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from mot_perception.bags.depth_labels import Orientation
    from mot_perception.training.fdta.inspection import DepthLook, Found, Past

    Floats = NDArray[np.float32]

P = ParamSpec('P')

STYLE: Any = {
    'figure.facecolor': '#fcfcfb',
    'axes.facecolor': '#f1f3f4',
    'axes.edgecolor': '#9aa4ac',
    'axes.labelcolor': '#1c2227',
    'axes.titlelocation': 'left',
    'axes.titlesize': 10,
    'axes.labelsize': 9,
    'xtick.color': '#66717b',
    'ytick.color': '#66717b',
    'xtick.labelsize': 8,
    'ytick.labelsize': 8,
    'font.size': 9,
    'legend.frameon': False,
}
COLOURS = '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#7f3c8d', '#3c8d50'
"""Of objects, in turn; told apart by those who see few colours, too (Okabe and Ito)."""
DEPTHS, WEIGHTS, COSINES = 'viridis', 'magma', 'viridis'
WIDEST = 1100
"""Pixels to which images are made smaller."""
DOTS = 130
MOST_TIMES = 8
"""Frames of an object in the matrix over time."""
MOST_OBJECTS = 8
"""Objects in it."""


def _styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function draw in `STYLE`."""

    @wraps(draw)
    def drawn(*args: P.args, **options: P.kwargs) -> Figure:
        with rc_context(STYLE):
            return draw(*args, **options)

    return drawn


def write_figure(file: Path, figure: Figure) -> None:
    """Write a PNG."""
    figure.savefig(file, format='png')


@_styled
def depth_figure(look: DepthLook, orientation: Orientation) -> Figure:
    """Show an image, its label of depth, what the network expects, and how far these are apart.

    Args:
        look: At one frame.
        orientation: What 255 means.
    """
    label = look.view.depth
    rows = 1 if label is None else 2
    figure, axes = _figure(rows, 2, *look.view.image.shape[:2])
    _show_image(axes[0], look, f'image and true boxes, frame {look.found.frame + 1}')
    far = 'nearest' if orientation == 'disparity' else 'farthest'
    scale = Normalize(0, 255)
    if label is None:
        _show_map(figure, axes[1], look, look.expected, 'expected depth', scale, DEPTHS, far)
        return figure
    _show_map(figure, axes[1], look, label, 'label', scale, DEPTHS, far)
    _show_map(figure, axes[2], look, look.expected, 'expected depth', scale, DEPTHS, far)
    error = depth_error(look)
    assert error is not None
    known = error[np.isfinite(error)]
    title, scale = 'difference', Normalize(0, 1)
    if len(known):
        title = f'difference, {known.mean():.1f} on the mean'
        scale = Normalize(0, max(float(np.percentile(known, 99)), 1))
    _show_map(figure, axes[3], look, error, title, scale, WEIGHTS, '')
    return figure


def depth_error(look: DepthLook) -> Floats | None:
    """Return how far the expected depth is from its label, H×W, NaN where unknown; or None."""
    label = look.view.depth
    if label is None:
        return None
    expected = cv2.resize(look.expected, label.shape[::-1])
    return np.asarray(abs(expected - label), np.float32)


@_styled
def attention_figure(look: DepthLook) -> Figure:
    """Show where the queries of some objects look for depth (Fig. 11)."""
    panels = 1 + len(look.shown)
    columns = 2 if panels <= 4 else 3
    figure, axes = _figure(-(-panels // columns), columns, *look.view.image.shape[:2])
    _show_image(axes[0], look, f'image, frame {look.found.frame + 1}')
    largest = np.percentile(look.attention, 99.8) if len(look.shown) else 1
    scale = Normalize(0, float(largest))
    for panel, (row, weights) in enumerate(zip(look.shown, look.attention, strict=True), 1):
        identity, score = look.found.ids[row], look.found.score[row]
        axes[panel].imshow(_grey(look), extent=_extent(look))
        drawn = axes[panel].imshow(
            weights, cmap=WEIGHTS, norm=scale, alpha=0.72, extent=_extent(look),
            interpolation='bilinear',
        )  # fmt: skip
        _box(axes[panel], look.found.xyxy[row], '#ffffff')
        axes[panel].set_title(f'object {identity}, score {score:.2f}')
        _bare(axes[panel])
    for empty in axes[panels:]:
        empty.set_visible(False)
    if len(look.shown):
        _bar(figure, drawn, axes, 'weight of a depth token; 1 is an equal share')
    return figure


@_styled
def past_figure(pasts: Sequence[Past]) -> Figure:
    """Show what frames of a track see of its earlier ones (Fig. 12)."""
    figure = _canvas(1.2 + 4.1 * len(pasts), 4.4)
    axes = np.ravel(figure.subplots(1, len(pasts), squeeze=False))
    shown = [_seen_only(past) for past in pasts]
    known = np.concatenate([it[np.isfinite(it)] for it in shown])
    scale = Normalize(0, float(np.percentile(known, 98)) if len(known) else 1.0)
    for ax, past, weights in zip(axes, pasts, shown, strict=True):
        drawn = _show_past(ax, past, weights, scale)
    axes[0].set_ylabel('frame that sees')
    _bar(figure, drawn, axes, 'weight of a frame; 1 is an equal share')
    return figure


def _seen_only(past: Past) -> Floats:
    """Return weights of which 1 is an equal share; NaN in the future and in missing rows."""
    seen = np.cumsum(~past.missing)[:, None]
    weights = np.asarray(past.weights * seen, np.float32)
    weights[np.triu_indices(len(weights), 1)] = np.nan
    weights[past.missing] = np.nan
    weights[:, past.missing] = np.nan
    return weights


def _show_past(ax: Axes, past: Past, weights: Floats, scale: Normalize) -> Any:
    count = len(weights)
    first, last = past.first + 0.5, past.first + count + 0.5
    drawn = ax.imshow(weights, cmap=WEIGHTS, norm=scale, extent=(first, last, last, first))
    for start, end in runs(past.missing):
        for corner, width, height in (
            ((first + start, first), end - start, count),
            ((first, first + start), count, end - start),
        ):
            ax.add_patch(
                Rectangle(corner, width, height, facecolor='#dfe3e6', edgecolor='#9aa4ac',
                          hatch='////', linewidth=0)
            )  # fmt: skip
    what = 'hidden here' if past.hidden else 'not seen'
    ax.set_title(f'object {past.identity}; hatched: {what}')
    ax.set_xlabel('frame that is seen')
    ax.set_xlim(first, last)
    ax.set_ylim(last, first)
    return drawn


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return where runs of True begin and end (the first one that is not)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@_styled
def similarity_figure(found: Sequence[Found]) -> Figure:
    """Show how alike embeddings are: in one frame, over time, and all in all (Figs. 1, 13)."""
    figure = _canvas(15, 4.6)
    alone, over_time, all_in_all = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
    frame = max(found, key=lambda it: len(it.ids))
    order = np.argsort(frame.ids)
    now, ids, sizes, then = frame.embeddings[order], *_over_time(found)
    low = min(0.0, *(float(cosines(it).min(initial=0)) for it in (now, then)))
    scale = Normalize(low, 1)
    _show_cosines(alone, now, scale)
    alone.set_title(f'objects of frame {frame.frame + 1}')
    _label_blocks(alone, frame.ids[order], np.ones(len(order), np.int64))
    drawn = _show_cosines(over_time, then, scale)
    over_time.set_title(f'objects over time, up to {MOST_TIMES} frames each')
    _label_blocks(over_time, ids, sizes)
    _bar(figure, drawn, [over_time], 'cosine of two embeddings')
    _show_histogram(all_in_all, found)
    return figure


def _show_cosines(ax: Axes, embeddings: Floats, scale: Normalize) -> Any:
    return ax.imshow(cosines(embeddings), cmap=COSINES, norm=scale, interpolation='nearest')


def _over_time(found: Sequence[Found]) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Return the objects that are found most often, at how many frames each, and embeddings."""
    ids, count = np.unique(np.concatenate([it.ids for it in found]), return_counts=True)
    chosen = np.sort(ids[np.argsort(-count, kind='stable')[:MOST_OBJECTS]])
    embeddings, sizes = [], []
    for identity in chosen:
        own = [it.embeddings[it.ids == identity][0] for it in found if identity in it.ids]
        times = np.unique(np.linspace(0, len(own) - 1, MOST_TIMES).astype(int))
        embeddings += [own[t] for t in times]
        sizes.append(len(times))
    return chosen, np.array(sizes), np.stack(embeddings)


def _label_blocks(ax: Axes, ids: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
    """Write ids beside blocks of rows and columns; draw lines between blocks of several."""
    edges = np.cumsum(sizes) - 0.5
    middles = edges - sizes / 2
    every = -(-len(ids) // 20)  # ids of a crowd would cover each other
    ax.set_xticks(middles[::every], ids[::every].tolist())
    ax.set_yticks(middles[::every], ids[::every].tolist())
    ax.tick_params(length=0)
    ax.set_xlabel('object')
    ax.set_ylabel('object')
    if sizes.max(initial=1) > 1:
        for edge in edges[:-1]:
            ax.axhline(edge, color='#1c2227', linewidth=0.6)
            ax.axvline(edge, color='#1c2227', linewidth=0.6)


def _show_histogram(ax: Axes, found: Sequence[Found]) -> None:
    of = pairs([(it.ids, it.embeddings) for it in found])
    low = min((float(it.min()) for it in (of.different, of.same) if len(it)), default=-1.0)
    low = max(-1.0, min(low, ALIKE - 0.1) - 0.02)
    named = (('different, same frame', of.different, '#d55e00'),
             ('same, next frame', of.same, '#0072b2'))  # fmt: skip
    for name, values, colour in named:
        if len(values):
            weights = np.full(len(values), 100 / len(values))
            bins = np.linspace(low, 1, 41).tolist()
            ax.hist(values.clip(-1, 1), bins, weights=weights, color=colour, alpha=0.6, label=name)
    ax.set_xlim(low, 1)
    ax.axvline(ALIKE, color='#1c2227', linewidth=1, linestyle=(0, (4, 3)))
    share = f'{100 * of.alike():.0f} %' if len(of.different) else 'no pair'
    ax.set_title(f'{share} of different objects above {ALIKE:g}')
    ax.set_xlabel('cosine of two embeddings')
    ax.set_ylabel('% of pairs')
    ax.spines[['top', 'right']].set_visible(False)
    if len(of.different) or len(of.same):
        ax.legend(loc='upper left')


def _figure(rows: int, columns: int, height: int, width: int) -> tuple[Figure, Any]:
    """Return a figure for panels of an image's shape, and its R·C axes."""
    across = 15.0 if columns == 3 else 12.0
    figure = _canvas(across, rows * (across / columns * height / width + 0.22))
    return figure, np.ravel(figure.subplots(rows, columns, squeeze=False))


def _canvas(across: float, down: float) -> Figure:
    """Return an empty figure of so many inches."""
    figure = Figure((across, down), dpi=DOTS)
    figure.set_layout_engine('constrained', w_pad=0.08, h_pad=0.08)
    return figure


def _bar(figure: Figure, drawn: Any, axes: Any, label: str) -> Any:
    """Add a colour bar beside axes, and return it."""
    bar = figure.colorbar(drawn, ax=list(axes), shrink=0.8, pad=0.015, aspect=28, label=label)
    drawn_outline: Any = bar.outline
    drawn_outline.set_visible(False)
    return bar


def _show_image(ax: Axes, look: DepthLook, title: str) -> None:
    height, width = look.view.image.shape[:2]
    scale = min(1.0, WIDEST / width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    image = cv2.resize(look.view.image, size, interpolation=cv2.INTER_AREA)
    ax.imshow(image[:, :, ::-1], extent=_extent(look))
    for identity, xyxy in zip(look.view.ids.tolist(), look.view.xyxy, strict=True):
        colour = COLOURS[identity % len(COLOURS)]
        _box(ax, xyxy, colour)
        ax.text(
            xyxy[0], max(xyxy[1], 0.04 * height), str(identity), color='#ffffff', fontsize=7,
            verticalalignment='bottom', clip_on=True,
            bbox={'facecolor': colour, 'edgecolor': 'none', 'pad': 1},
        )  # fmt: skip
    ax.set_title(title)
    _bare(ax)


def _show_map(
    figure: Figure,
    ax: Axes,
    look: DepthLook,
    values: Floats,
    title: str,
    scale: Normalize,
    colours: str,
    largest: str,
) -> None:
    """Show a map over the view, with boxes and a bar; `largest` says what 255 is."""
    drawn = ax.imshow(values, cmap=colours, norm=scale, extent=_extent(look))
    for xyxy in look.view.xyxy:
        _box(ax, xyxy, '#ffffff')
    ax.set_title(title)
    _bare(ax)
    bar = _bar(figure, drawn, [ax], f'255: {largest}' if largest else '')
    if largest:
        bar.set_ticks([0, 85, 170, 255])


def _grey(look: DepthLook) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(look.view.image, cv2.COLOR_BGR2GRAY)
    return np.repeat(np.asarray(grey, np.uint8)[:, :, None], 3, 2)


def _extent(look: DepthLook) -> tuple[float, float, float, float]:
    height, width = look.view.image.shape[:2]
    return 0, width, height, 0


def _box(ax: Axes, xyxy: NDArray[np.float64], colour: str) -> None:
    left, top, right, bottom = xyxy
    ax.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour,
                  linewidth=1.2, path_effects=[withStroke(linewidth=2.4, foreground='#00000080')])
    )  # fmt: skip


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
