"""Text and HTML report of a diagnosis. NumPy and matplotlib only: no torch, no mmengine."""

from __future__ import annotations

import os

from sola_plugin.evaluation.diagnosis.diagnosis import Diagnosis
from sola_plugin.evaluation.diagnosis.errors import KINDS
from sola_plugin.messages import first_few
from sola_plugin.segments import threshold_name
from sola_plugin.visualization import (
    BulletList,
    FigureBlock,
    Section,
    TableBlock,
    bucket_table,
    false_positive_table,
    plot_false_negatives,
    plot_false_positives,
    plot_sensitivity,
    to_text,
    write_report,
)

from .figures import coverage_text
from .inputs import EvaluationInputs

_DEFINITIONS = (
    'True positive: takes a true segment of its video and class that no better detection has '
    'taken.',
    'Double detection: its nearest true segment has its class and is near enough, but is taken.',
    'Wrong label: its nearest true segment is near enough, but of another class.',
    'Localization error: its nearest true segment has its class; the tIoU is 0.1 or more, '
    'but below the '
    'threshold.',
    'Confusion error: the tIoU is 0.1 or more, but below the threshold, and the class is another.',
    'Background error: the tIoU with every true segment of the video is below 0.1.',
)
_PROFILE = (
    'Left: kinds of the detections of each class by falling score, in steps of G, the number '
    'of its true '
    'segments; mean over the tIoU thresholds. Right: what the average normalised mAP of '
    'these detections '
    'gains when the false positives of one kind are taken away.'
)
_SENSITIVITY = (
    'Average normalised mAP of the true segments by coverage (their share of the video), '
    'length, and number '
    'of instances of their class in their video. All false positives count in every bucket. '
    'The dashed line '
    'is that of all segments; it need not lie between the bars: the mean of a bucket is over '
    'the classes '
    'that have segments in it, and detections of the segments of other buckets are left out.'
)
_MISSED = (
    'Share of the true segments that are missed, by the same characteristics, mean over the '
    'tIoU thresholds; '
    'the dashed line is that of all segments. Only detections at ranks of a normalised '
    'precision above 0.05 '
    'count.'
)
_NORMALISED = (
    'The normalised mAP (mAP_N) takes the same number of true segments for every class and '
    'every bucket, the '
    'mean of the classes. So classes and buckets can be compared although some have more '
    'segments, and more '
    'segments alone raise the precision.'
)
_JUDGED = (
    'A detection is judged by its nearest true segment, the one of its video with the '
    'highest tIoU. Near '
    'enough means the tIoU threshold or above.'
)


def diagnosis_text(diagnosis: Diagnosis, pair: EvaluationInputs) -> str:
    """Return the figures of a diagnosis as lines of text.

    Args:
        diagnosis: Of the files.
        pair: The files that were read.
    """
    return '\n'.join(
        [
            coverage_text(pair),
            *_summary(diagnosis),
            '',
            to_text(false_positive_table(diagnosis)),
            to_text(bucket_table(diagnosis)),
        ]
    )


def write_diagnosis_report(
    path: str | os.PathLike, diagnosis: Diagnosis, pair: EvaluationInputs, command: str = ''
) -> None:
    """Write the report.

    Args:
        path: HTML file.
        diagnosis: Of the files.
        pair: The files that were read.
        command: What makes this report.

    Raises:
        OSError: The file cannot be written.
    """
    sections = [
        Section(
            'False positives',
            [
                FigureBlock(
                    plot_false_positives(diagnosis),
                    _PROFILE,
                    'Stacked bars of the kinds of detections, and bars of the gain for each kind',
                ),
                TableBlock(
                    false_positive_table(diagnosis),
                    'Kinds of the same detections and what they cost, '
                    'percent, means over the tIoU thresholds.',
                ),
                _JUDGED,
                BulletList(_DEFINITIONS),
            ],
        ),
        Section(
            'Sensitivity',
            [
                FigureBlock(
                    plot_sensitivity(diagnosis),
                    _SENSITIVITY,
                    'Bars of the normalised mAP for buckets of coverage, length and instances',
                ),
                _NORMALISED,
            ],
        ),
        Section(
            'False negatives',
            [
                FigureBlock(
                    plot_false_negatives(diagnosis),
                    _MISSED,
                    'Bars of the share of missed segments for buckets of coverage, length '
                    'and instances',
                ),
            ],
        ),
        Section(
            'Figures by bucket',
            [
                TableBlock(bucket_table(diagnosis), 'Normalised mAP and missed segments, percent.'),
            ],
        ),
    ]
    write_report(
        path,
        'Why is it wrong?',
        sections,
        lead=' '.join(_summary(diagnosis)),
        about_data=coverage_text(pair).splitlines(),
        command=command,
        settings={'tIoU': first_few(map(threshold_name, diagnosis.tiou_thresholds), 10)},
    )


def _summary(diagnosis: Diagnosis) -> list[str]:
    """The main figures, one sentence each."""
    gains = diagnosis.false_positives.gain.mean(axis=1)
    thresholds = diagnosis.tiou_thresholds
    tiou = threshold_name(thresholds[0])
    if len(thresholds) > 1:
        tiou = f'{tiou} to {threshold_name(thresholds[-1])}, {len(thresholds)} thresholds'
    sentences = [
        f'mAP {100 * diagnosis.mAP:.2f}, mAP_N {100 * diagnosis.mAP_N:.2f} (tIoU {tiou}).',
        f'{100 * diagnosis.missed:.2f}% of the true segments are missed.',
    ]
    if gains.max() > 0:
        sentences.append(
            f'The false positives that cost most are of the kind "{KINDS[1 + gains.argmax()]}": '
            f'without them mAP would be {100 * gains.max():.2f} higher.'
        )
    return sentences
