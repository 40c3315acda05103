"""Pictures and tables of why detections are wrong, after the figures of DETAD."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sola_plugin.evaluation.diagnosis.buckets import Buckets
from sola_plugin.evaluation.diagnosis.diagnosis import Diagnosis
from sola_plugin.evaluation.diagnosis.errors import KINDS

from .pictures import FULL_WIDTH, INK, PALETTE, house_style
from .table import MISSING, Table

#: Right detections are a pale ground, the kinds of errors stand out.
_COLOURS = dict(zip(KINDS, ('#d3d9e0', *PALETTE[:3], *PALETTE[4:])))
_MAP_N = 'mAP$_\\mathrm{N}$'
_TITLES = {
    'coverage': 'Coverage (% of the video)',
    'length': 'Length (s)',
    'instances': 'Instances in the video',
}


@house_style()
def plot_false_positives(diagnosis: Diagnosis) -> Figure:
    """Draw what the best detections are, and what removing one kind of errors would gain.

    Args:
        diagnosis: Result of :func:`~sola_plugin.evaluation.diagnosis.diagnosis.diagnose`.

    Returns:
        Figure with two axes. Left a stacked bar for each G of detections, the best first; right a
        bar for each kind of false positives, the gain in normalised mAP.
    """
    figure = Figure(figsize=(FULL_WIDTH, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2, width_ratios=(5, 3))
    result = diagnosis.false_positives
    _draw_profile(left, 100 * np.nan_to_num(result.shares))
    _draw_gains(right, 100 * result.gain_N.mean(axis=1), 100 * result.mAP_N.mean())
    figure.legend(
        *left.get_legend_handles_labels(),
        loc='outside lower center',
        ncols=len(KINDS),
        handlelength=1.2,
        columnspacing=1.4,
    )
    return figure


@house_style()
def plot_sensitivity(diagnosis: Diagnosis) -> Figure:
    """Draw the normalised mAP of every bucket; a dashed line is that of all true segments.

    Args:
        diagnosis: Result of :func:`~sola_plugin.evaluation.diagnosis.diagnosis.diagnose`.

    Returns:
        Figure with one axes for each characteristic.

    Raises:
        ValueError: The diagnosis has no characteristics.
    """
    values = {name: result.mAP_N for name, result in diagnosis.by_characteristic.items()}
    return _plot_buckets(diagnosis, values, diagnosis.mAP_N, PALETTE[0], f'average {_MAP_N} (%)')


@house_style()
def plot_false_negatives(diagnosis: Diagnosis) -> Figure:
    """Draw the share of missed segments of every bucket; a dashed line is that of all.

    Args:
        diagnosis: Result of :func:`~sola_plugin.evaluation.diagnosis.diagnosis.diagnose`.

    Returns:
        Figure with one axes for each characteristic.

    Raises:
        ValueError: The diagnosis has no characteristics.
    """
    values = {name: result.missed for name, result in diagnosis.by_characteristic.items()}
    return _plot_buckets(diagnosis, values, diagnosis.missed, PALETTE[1], 'missed segments (%)')


def false_positive_table(diagnosis: Diagnosis) -> Table:
    """How many detections of each kind there are, and what each kind costs, in percent."""
    figures = diagnosis.to_dict()['false_positives']
    loss = 1 - figures['mAP']

    def points(gain: float) -> str:
        # Rounding first and adding 0.0 turns -1e-17 into +0.00 instead of -0.00.
        return f'{round(100 * gain, 2) + 0.0:+.2f}'

    def gain_cells(gain: float) -> tuple[str, str]:
        return points(gain), f'{round(100 * gain / loss, 1) + 0.0:.1f}' if loss else MISSING

    rows = []
    for kind, row in figures['kinds'].items():
        cells = (
            (*gain_cells(row['gain']), points(row['gain_N']))
            if 'gain' in row
            else (MISSING, MISSING, MISSING)
        )
        rows.append((kind, f'{row["count"]:.0f}', f'{100 * row["share"]:.1f}', *cells))
    rows += [
        (
            'all false positives',
            MISSING,
            MISSING,
            *gain_cells(figures['recall'] - figures['mAP']),
            MISSING,
        ),
        ('segments not found', MISSING, MISSING, *gain_cells(1 - figures['recall']), MISSING),
    ]
    note = (
        f'mAP {100 * figures["mAP"]:.2f}, mAP_N {100 * figures["mAP_N"]:.2f} of these detections. '
        'The gain of a kind is that of removing it alone: these gains do not add up, but the last '
        'two rows do, to the whole loss 100 - mAP.'
    )
    header = ('kind', 'detections', '%', 'gain in mAP', '% of the loss', 'gain in mAP_N')
    return Table(header, tuple(rows), note)


def bucket_table(diagnosis: Diagnosis) -> Table:
    """Normalised mAP and share of missed segments, bucket by bucket, in percent."""

    def percent(value: float) -> str:
        return MISSING if np.isnan(value) else f'{100 * value:.2f}'

    rows = [
        (
            'all',
            '',
            '',
            str(diagnosis.num_segments),
            percent(diagnosis.mAP_N),
            percent(diagnosis.missed),
        )
    ]
    for name, result in diagnosis.by_characteristic.items():
        rows += [
            (_TITLES[name], bucket, ends, str(count), percent(mAP_N), percent(missed))
            for bucket, ends, count, mAP_N, missed in zip(
                result.buckets.names,
                _ranges(name, result.buckets),
                result.segments,
                result.mAP_N,
                result.missed,
            )
        ]
    header = ('characteristic', 'bucket', 'range', 'true segments', 'mAP_N', 'missed')
    return Table(header, tuple(rows))


def _draw_profile(axes: Axes, shares: np.ndarray) -> None:
    """Stack the shares of the kinds ``(n_split, n_kind)``, percent."""
    places = np.arange(1, len(shares) + 1)
    bottoms = np.cumsum(shares, axis=1) - shares
    for kind, share, bottom in zip(KINDS, shares.T, bottoms.T):
        axes.bar(
            places,
            share,
            0.82,
            bottom,
            color=_COLOURS[kind],
            edgecolor='white',
            linewidth=0.6,
            label=kind,
        )
    axes.set_xticks(places, [f'{place}G' for place in places])
    axes.tick_params(axis='x', length=0)
    axes.set_xlim(0.5, len(shares) + 0.5)
    axes.set_ylim(0, 100)
    axes.set_ylabel('share of the detections (%)')
    axes.set_xlabel('by score (1G: the best G of each class, 2G: the next G, ...)')
    axes.set_title('Kinds of the best detections', loc='left')


def _draw_gains(axes: Axes, gains: np.ndarray, base: float) -> None:
    """Draw the gain over ``base`` of every kind of false positives ``(n_kind - 1,)``, in points."""
    kinds = KINDS[1:]
    bars = axes.barh(kinds, gains, 0.7, color=[_COLOURS[kind] for kind in kinds])
    axes.bar_label(bars, fmt='{:.1f}', padding=3, color=INK)
    axes.invert_yaxis()
    axes.tick_params(axis='y', length=0)
    axes.set_xlim(0, max(1.15 * gains.max(), 1))
    axes.grid(axis='x')
    axes.set_axisbelow(True)
    axes.set_xlabel(f'gain in average {_MAP_N} (points, from {base:.1f})')
    axes.set_title('Removing one kind of error', loc='left')


def _plot_buckets(
    diagnosis: Diagnosis, values: dict[str, np.ndarray], base: float, colour: str, ylabel: str
) -> Figure:
    """Draw one bar for each bucket ``{characteristic: (b,)}`` and a line at ``base``, fractions."""
    if not values:
        raise ValueError('diagnosis: expected at least one characteristic with buckets, got none')
    results = diagnosis.by_characteristic
    figure = Figure(figsize=(FULL_WIDTH, 3.3), layout='constrained')
    panels = figure.subplots(
        1,
        len(values),
        sharey=True,
        squeeze=False,
        width_ratios=[len(results[name].buckets) for name in values],
    )[0]
    ranges = {name: _ranges(name, results[name].buckets) for name in values}
    longest = max(len(text) for texts in ranges.values() for text in texts)
    for axes, (name, bars) in zip(panels, values.items()):
        axes.axhline(100 * base, color=INK, linewidth=1.0, linestyle=(0, (5, 3)))
        _draw_bars(axes, 100 * bars, colour)
        lines = zip(results[name].buckets.names, ranges[name], map(str, results[name].segments))
        axes.set_xticks(range(len(bars)), map('\n'.join, lines), fontsize=min(8.5, 64 / longest))
        axes.set_title(_TITLES[name], loc='left')
    panels[0].set_ylabel(ylabel)
    panels[-1].annotate(
        f'all\n{100 * base:.1f}',
        (1, 100 * base),
        (2, 0),
        va='center',
        xycoords=('axes fraction', 'data'),
        textcoords='offset points',
    )
    figure.supxlabel('bucket, its range, number of true segments', fontsize=9)
    return figure


def _ranges(name: str, buckets: Buckets) -> tuple[str, ...]:
    """Ranges in words, coverage in percent."""
    scale = 100 if name == 'coverage' else 1
    return replace(buckets, edges=tuple(scale * edge for edge in buckets.edges)).ranges


def _draw_bars(axes: Axes, percent: np.ndarray, colour: str) -> None:
    bars = axes.bar(range(len(percent)), np.nan_to_num(percent), 0.7, color=colour)
    # The line of all segments would cross the figures out without a ground of their own.
    ground = dict(facecolor='white', edgecolor='none', pad=0.8)
    axes.bar_label(
        bars,
        [MISSING if np.isnan(value) else f'{value:.1f}' for value in percent],
        padding=3,
        color=INK,
        bbox=ground,
        zorder=4,
    )
    axes.set_ylim(0, 110)
    axes.set_yticks(range(0, 101, 20))
    axes.tick_params(axis='x', length=0)
    axes.grid(axis='y')
    axes.set_axisbelow(True)
