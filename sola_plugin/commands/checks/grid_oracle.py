"""The oracle of one subset of a data set: its figures; which segments are out of reach, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola_plugin.datasets.annotations.model import Video
from sola_plugin.datasets.findings import Finding, prevalence_level, segment_text
from sola_plugin.evaluation.metrics.oracle import Oracle, oracle
from sola_plugin.visualization import Table

from .proposal_space import Extent, ProposalSpace

#: A segment counts as out of reach when no proposal has this tIoU with it.
_REACHED = 0.5

#: Share of segments from which on a loss is worth a warning.
_NOTABLE = 0.05

#: Classes of length, in cells.
_LENGTHS = (0, 1, 2, 4, 8, 16, 32, 64, np.inf)


@dataclass(frozen=True, eq=False)
class GridOracle:
    """Oracle of one subset of a data set. The arrays have one entry for every segment, ``(n,)``.

    Attributes:
        oracle: tIoU of the nearest proposals, recall and mAP.
        names: Each segment in words.
        lengths: In seconds.
        cells: Length of a cell of its video, in seconds.
        uncovered: Whether it lies before or after the features of its video.
        cut: Whether no window holds it as a whole.
    """

    oracle: Oracle
    names: Sequence[str]
    lengths: np.ndarray
    cells: np.ndarray
    uncovered: np.ndarray
    cut: np.ndarray

    @property
    def missed(self) -> np.ndarray:
        """Segments with which no proposal has a tIoU of 0.5, bool ``(n,)``."""
        return self.oracle.tiou < _REACHED

    def by_length(self) -> list[dict]:
        """Segments and misses by length.

        They are ``[dict(cells=[low, high), segments, mean_tiou, missed)]``, ``cells`` the length.
        """
        rows = []
        in_cells = self.lengths / self.cells
        for low, high in zip(_LENGTHS, _LENGTHS[1:]):
            chosen = (in_cells >= low) & (in_cells < high)
            if chosen.any():
                rows.append(
                    dict(
                        cells=[low, None if high == np.inf else high],
                        segments=int(chosen.sum()),
                        mean_tiou=float(self.oracle.tiou[chosen].mean()),
                        missed=int(self.missed[chosen].sum()),
                    )
                )
        return rows

    def to_dict(self) -> dict:
        """Figures, ready for JSON."""
        return dict(
            segments=len(self.names),
            missed=int(self.missed.sum()),
            **self.oracle.to_dict(),
            median_cell_seconds=float(np.median(self.cells)),
            by_length=self.by_length(),
        )

    def length_table(self, name: str) -> Table:
        """What the length of a segment has to do with its being out of reach."""
        rows = []
        for row in self.by_length():
            low, high = row['cells']
            rows.append(
                (
                    f'{low} and more' if high is None else f'{low} to {high}',
                    str(row['segments']),
                    f'{row["mean_tiou"]:.3f}',
                    str(row['missed']),
                )
            )
        return Table(
            (f'{name}: length in cells', 'segments', 'mean best tIoU', f'best below {_REACHED}'),
            tuple(rows),
        )


def grid_oracle(
    videos: Mapping[str, Video],
    extents: Mapping[str, Extent],
    space: ProposalSpace,
    tiou_thresholds: str | Sequence[float],
) -> GridOracle | None:
    """Compute the oracle of some videos.

    The truth is that of the evaluation, as it stands in the file; reversed segments, at which
    evaluation would stop, are left out.

    Args:
        videos: Videos by id.
        extents: Where their features lie; videos without are left out.
        space: Of the localizer.
        tiou_thresholds: See :func:`~sola_plugin.evaluation.metrics.average_precision`.

    Returns:
        ``None`` if there is no segment.
    """
    truth = {
        video_id: actions
        for video_id, extent in extents.items()
        if (
            actions := [
                action
                for action in videos[video_id].annotations
                if action['segment'][0] <= action['segment'][1]
            ]
        )
    }
    if not truth:
        return None
    nearest, names, lengths, cells, uncovered, cut = {}, [], [], [], [], []
    for video_id, actions in truth.items():
        extent = extents[video_id]
        segments = np.array([action['segment'] for action in actions], dtype=np.float64)
        nearest[video_id] = space.nearest(segments, extent)
        names += [segment_text(video_id, segment, extent.duration) for segment in segments]
        lengths.append(segments[:, 1] - segments[:, 0])
        cells.append(np.full(len(segments), space.cell(extent)))
        uncovered.append((segments[:, 1] < extent.span[0]) | (segments[:, 0] > extent.span[1]))
        cut.append(~space.uncut(segments, extent))
    return GridOracle(
        oracle(truth, nearest, tiou_thresholds),
        names,
        *map(np.concatenate, (lengths, cells, uncovered, cut)),
    )


def oracle_findings(
    name: str, result: GridOracle, space: ProposalSpace, crop: int | None = None
) -> list[Finding]:
    """Say what a grid cannot reach.

    Args:
        name: Of the subset of the data set.
        result: Its oracle.
        space: Of the localizer.
        crop: Longest stretch of a video that is trained on, in cells; ``None``: no limit.
    """
    total, findings = len(result.names), []

    def report(kind: str, chosen: np.ndarray, what: str, level: str | None = None) -> None:
        count = int(chosen.sum())
        if count:
            usual = 'warning' if count > _NOTABLE * total else 'info'
            findings.append(
                Finding.of(
                    level or usual,
                    kind,
                    (f'{name}: {count} of {total} segments ({count / total:.1%}) {what}'),
                    (result.names[index] for index in np.flatnonzero(chosen).tolist()),
                )
            )

    in_cells = result.lengths / result.cells
    majority = prevalence_level(int(result.missed.sum()), total) == 'error'
    report(
        'out-of-reach',
        result.missed,
        f'have no proposal with a tIoU of {_REACHED}: {space.advice}',
        'error' if majority else None,
    )
    report(
        'shorter-than-a-cell',
        in_cells < 1,
        'are shorter than a cell, which is '
        f'{np.median(result.cells):.3g} s for the median segment and up to '
        f'{result.cells.max():.3g} s',
    )
    if space.max_cells is not None:
        report(
            'longer-than-a-proposal',
            in_cells > space.max_cells,
            f'are longer than the longest proposal, {space.max_cells} cells (max_duration)',
        )
    report(
        'cut-by-windows',
        result.cut,
        'lie in no window as a whole: longer windows, or a smaller stride',
    )
    if crop is not None:
        report(
            'longer-than-crop',
            in_cells > crop,
            f'are longer than the {crop} snippets that training '
            'takes of a video (CropFeatures): they are cut, or left out of training',
        )
    report(
        'not-covered',
        result.uncovered,
        'lie where the video has no features: are the features complete, '
        'feature_stride and feature_offset right?',
    )
    return findings
