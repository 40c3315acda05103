"""Other projects' evaluators under one roof: each takes our dicts and returns a function of its
figures."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import sola_plugin  # noqa: F401  (mends the installed stack, so that mmaction2 can be imported)

TIOU = np.linspace(0.5, 0.95, 10)


def mmaction2(truth: dict, found: dict) -> Callable[[], np.ndarray] | str:
    """``ActivityNetLocalization``: mAP."""
    from mmaction.evaluation.functional.eval_detection import ActivityNetLocalization

    # It cuts the first two characters off the ids of the ground truth, and off no others.
    evaluator = _from_files(
        ActivityNetLocalization,
        {f'v_{video}': {'annotations': truth[video]} for video in truth},
        {'results': found},
    )
    return lambda: evaluator.evaluate()[0]


class ActionFormer:
    """``ANETdetection``: mAP, and with it Recall@1x and @5x.

    Args:
        metrics: Its module.
        truth: Ground truth without repeated and empty annotations, which it drops.
        found: Detections.
    """

    def __init__(self, metrics, truth: dict, found: dict) -> None:
        import pandas

        number = {
            label: i
            for i, label in enumerate(
                sorted({entry['label'] for entries in truth.values() for entry in entries})
            )
        }
        database = {
            video: {
                'subset': 'validation',
                'annotations': [{**entry, 'label_id': number[entry['label']]} for entry in entries],
            }
            for video, entries in truth.items()
        }
        rows = [
            (video, *entry['segment'], number[entry['label']], entry['score'])
            for video, entries in found.items()
            for entry in entries
            if entry['label'] in number
        ]
        self.found = pandas.DataFrame(
            rows, columns=['video-id', 't-start', 't-end', 'label', 'score']
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'truth.json'
            path.write_text(json.dumps({'database': database}))
            # A process for each core: faster than its default of 8 where there are fewer.
            self.evaluator = metrics.ANETdetection(
                str(path), 'validation', TIOU, num_workers=os.cpu_count()
            )

    def mean_precision(self) -> np.ndarray:
        """mAP at every threshold."""
        return self.evaluator.wrapper_compute_average_precision(self.found).mean(axis=1)

    def everything(self) -> np.ndarray:
        """All that its ``evaluate`` computes: mAP, then the recalls of each k."""
        precision, _, recall = self.evaluator.evaluate(self.found, verbose=False)
        return np.concatenate([precision, recall.T.ravel()])


def anet_detection(path: Path | None, truth: dict, found: dict) -> ActionFormer | str:
    """ActionFormer's evaluator from a folder, or the installed package; or how to get it."""
    if path is None and (spec := importlib.util.find_spec('actionformer')) is not None:
        path = Path(spec.submodule_search_locations[0]).parent
    for part in ('actionformer/utils', 'libs/utils'):
        if path is not None and (path / part / 'metrics.py').exists():
            sys.path.insert(0, str(path / part))
            import metrics

            return ActionFormer(metrics, truth, found)
    return (
        'not installed: pip download --no-deps --no-binary :all: actionformer==1.5.0, unpack, pip '
        'install pandas joblib, and give --actionformer PATH'
    )


def activitynet_proposals(
    path: Path | None, truth: dict, found: dict
) -> Callable[[], np.ndarray] | str:
    """The official ``average_recall_vs_avg_nr_proposals``: AR at 100 points."""
    if path is None:
        return (
            'not installed: git clone https://github.com/activitynet/ActivityNet, pip '
            'install pandas, '
            'and give --activitynet PATH'
        )
    import pandas

    names: dict = {'np': np}
    # Written for Python 2: the functions are taken out of their files, and two names replaced.
    for file, start in (
        ('io.py', 'def segment_iou'),
        ('eval_proposal.py', 'def average_recall_vs'),
    ):
        text = (path / 'Evaluation' / file).read_text()
        text = text[text.index(start) :].replace('np.int)', 'int)').replace('xrange', 'range')
        exec(compile(text, file, 'exec'), names)

    def frame(results: dict, *keys: str) -> pandas.DataFrame:
        rows = [
            (video, *entry['segment'], *(entry[key] for key in keys))
            for video, entries in results.items()
            for entry in entries
        ]
        return pandas.DataFrame(rows, columns=['video-id', 't-start', 't-end', *keys])

    arguments = frame(truth), frame(found, 'score')
    return lambda: names['average_recall_vs_avg_nr_proposals'](
        *arguments, max_avg_nr_proposals=100, tiou_thresholds=TIOU
    )[1]


def _from_files(evaluator: Callable, truth: dict, found: dict):
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, content in (('truth', truth), ('found', found)):
            paths.append(Path(folder) / f'{name}.json')
            paths[-1].write_text(json.dumps(content))
        return evaluator(*map(str, paths), TIOU)
