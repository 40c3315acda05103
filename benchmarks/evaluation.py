"""Our evaluation against that of mmaction2, ActionFormer and ActivityNet, interleaved in one run.

    python benchmarks/evaluation.py --reference DIR --actionformer PATH --activitynet PATH

mmaction2's evaluator is installed with this package. The others are optional. ActionFormer: ``pip
download --no-deps --no-binary :all: actionformer==1.5.0`` and unpack, or a clone of
happyharrycn/actionformer_release; it needs pandas and joblib. ActivityNet: a clone of
activitynet/ActivityNet; it needs pandas.

The data are ActivityNet-1.3's validation set and generated detections, 10 a video: DIR holds
``activitynet-1.3_annotations.json.gz`` and ``make_detections.py``, which are not part of this
project. Without it a made set of the same size takes their place. What is timed is the evaluation,
each from the form in which it holds its input after reading a file: ours the dicts of the JSON
file, mmaction2 its lists of dicts, ActionFormer and ActivityNet data frames. The table ends with
the largest difference between the figures of each pair.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import evaluation_peers as peers
import numpy as np
from measure import HEADER, Row, machine, milliseconds

from sola_plugin.evaluation import average_precision, average_recall, drop_duplicates, topk_recall

ROOT = Path(__file__).resolve().parents[1]
#: Videos of ActivityNet's validation set.
NUM_VIDEOS = 4728


@dataclass(frozen=True)
class Comparison:
    """Two functions that compute the same figures.

    Args:
        what: Name of the row.
        ours: Returns figures.
        reference: Returns the same figures, or an explanation of why it is not there.
        bar: Least ratio of the times.
    """

    what: str
    ours: Callable[[], np.ndarray]
    reference: Callable[[], np.ndarray] | str
    bar: float


def load(per_video: int, num_videos: int | None, reference: Path | None) -> tuple[dict, dict]:
    """Ground truth and detections of the first videos of a validation set."""
    if reference is None:
        sys.path.insert(0, str(ROOT))
        from tests.annotation_sets import activitynet_like, made_detections

        database = activitynet_like(training=0, validation=NUM_VIDEOS)['database']
        generate = made_detections
    else:
        sys.path.insert(0, str(reference))
        from make_detections import load_annotations, make_detections

        database = load_annotations(reference / 'activitynet-1.3_annotations.json.gz')
        generate = make_detections
    validation = sorted(video for video in database if database[video]['subset'] == 'validation')
    database = {video: database[video] for video in validation[:num_videos]}
    detections = generate(database, 'validation', per_video, seed=1)
    return {video: entry['annotations'] for video, entry in database.items()}, detections


def precision(truth: dict, found: dict) -> np.ndarray:
    """mAP at 0.5:0.05:0.95."""
    return average_precision(truth, found).mAP


def precision_and_topk(truth: dict, found: dict) -> np.ndarray:
    """The same, and Recall@1x and @5x."""
    return np.concatenate([precision(truth, found), topk_recall(truth, found).recall.ravel()])


def recall(truth: dict, found: dict) -> np.ndarray:
    """Average recall at 100 points."""
    return average_recall(truth, found).average_recall


def comparisons(truth: dict, found: dict, args: argparse.Namespace) -> list[Comparison]:
    """The rows of the table, their input prepared."""
    distinct = drop_duplicates(
        truth
    )  # ActionFormer drops repeated and empty annotations when it reads
    anet_detection = peers.anet_detection(args.actionformer, distinct, found)
    unavailable = anet_detection if isinstance(anet_detection, str) else None
    return [
        Comparison(
            'mAP, against mmaction2',
            partial(precision, truth, found),
            peers.mmaction2(truth, found),
            2,
        ),
        Comparison(
            'mAP, against ActionFormer',
            partial(precision, distinct, found),
            unavailable or anet_detection.mean_precision,
            20,
        ),
        Comparison(
            'mAP and Recall@kx, against ActionFormer',
            partial(precision_and_topk, distinct, found),
            unavailable or anet_detection.everything,
            20,
        ),
        Comparison(
            'AR@AN, against ActivityNet',
            partial(recall, truth, found),
            peers.activitynet_proposals(args.activitynet, truth, found),
            10,
        ),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--reference', type=Path, help='folder of the real annotations (default: a made set)'
    )
    parser.add_argument('--actionformer', type=Path, help='folder of its source')
    parser.add_argument('--activitynet', type=Path, help='folder of its repository')
    parser.add_argument(
        '--repeats', type=int, default=3, help='measurements of each, the median counts'
    )
    parser.add_argument('--videos', type=int, help='take only so many videos (default: all 4,728)')
    args = parser.parse_args()
    truth, found = load(10, args.videos, args.reference)
    np.seterr(invalid='ignore')  # of the others, where two segments have no length
    print(
        f'{machine()}; median of {args.repeats}, interleaved; {sum(map(len, found.values())):,} '
        f'detections, {len(truth):,} videos\n\n{HEADER}',
        flush=True,
    )
    differences = []
    for row in comparisons(truth, found, args):
        if isinstance(row.reference, str):
            differences.append(f'{row.what}: {row.reference}')
            continue
        differences.append(
            f'{row.what}: figures differ by at most '
            f'{np.abs(row.ours() - row.reference()).max():.1g}'
        )
        print(
            Row(
                row.what, 'ms', *milliseconds(row.ours, row.reference, args.repeats), row.bar
            ).markdown(),
            flush=True,
        )
    many = load(100, args.videos, args.reference)[1]
    for what, ours in (('mAP', precision), ('AR@AN', recall)):
        few_ms, many_ms = milliseconds(
            partial(ours, truth, found), partial(ours, truth, many), 2 * args.repeats + 1
        )
        print(
            f'| {what}, ten times the detections | {few_ms:,.1f} ms | {many_ms:,.1f} ms '
            f'| {many_ms / few_ms:.1f}× | < 12× | {"yes" if many_ms < 12 * few_ms else "NO"} |',
            flush=True,
        )
    print('\n' + '\n'.join(differences))


if __name__ == '__main__':
    main()
