"""Mean average precision and average recall as a mmengine metric."""
from __future__ import annotations

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mmaction.registry import METRICS, TASK_UTILS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from sola_plugin.utils import atomic_write

from . import classifiers, metainfo  # noqa: F401 (importing registers the classifiers)
from .average_precision import average_precision
from .average_recall import average_recall
from .results_io import write_detections
from .tiou import resolve_thresholds

_KNOWN = ('mAP', 'AR')


@METRICS.register_module()
class TALMetric(BaseMetric):
    """mAP and AR@AN of temporal action localization, as the ActivityNet evaluators define them.

    Ground truth travels with the results, a video counts once however often a sampler repeats it,
    and videos are put in order before they are scored. So any number of ranks and any batch size
    give the figures of one process.

    mAP needs classes. They come from the predictions if these have labels, else from
    ``classifier``, else from the ground truth if that has only one class. Otherwise only AR is
    reported, with a warning.

    Args:
        tiou_thresholds: Of mAP: ``'activitynet'`` (0.5:0.05:0.95), ``'thumos14'`` (0.3:0.1:0.7) or
            a list. AR always uses 0.5:0.05:0.95, as the official proposal evaluator does.
        metrics: ``'mAP'``, ``'AR'`` or both.
        recall_at: The ``n`` of the AR@n to report.
        max_proposals: Largest average number of proposals per video of the AR@AN curve.
        classifier: Gives class-agnostic proposals their labels: ``dict(type='ScoreFile',
            path=...)``, ``dict(type='LinearClassifier', dataset=...)``, or an object with their
            ``classify``. Not asked when the predictions have labels.
        detections_file: Where to write the detections (without classes: the proposals) in
            ActivityNet result format.
        metrics_file: Where to write the figures as JSON.
        collect_device: ``'cpu'`` or ``'gpu'``, see mmengine's ``BaseMetric``.
        prefix: Put before the metric names instead of ``TAL``.

    Raises:
        ValueError: An argument is not one of those named here.
    """

    default_prefix = 'TAL'

    def __init__(self,
                 tiou_thresholds: str | Sequence[float] = 'activitynet',
                 metrics: Sequence[str] = _KNOWN,
                 recall_at: Sequence[int] = (1, 5, 10, 100),
                 max_proposals: int = 100,
                 classifier: Any = None,
                 detections_file: str | os.PathLike | None = None,
                 metrics_file: str | os.PathLike | None = None,
                 collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.metrics = (metrics, ) if isinstance(metrics, str) else tuple(metrics)
        if not self.metrics or not set(self.metrics) <= set(_KNOWN):
            raise ValueError(f'metrics must be some of {_KNOWN}, got {metrics!r}')
        if any(not max_proposals / 100 <= n <= max_proposals for n in recall_at):
            raise ValueError(f'recall_at {tuple(recall_at)} must lie between max_proposals / 100 '
                             f'and max_proposals = {max_proposals}')
        self.tiou_thresholds = resolve_thresholds(tiou_thresholds)
        self.recall_at, self.max_proposals = tuple(recall_at), max_proposals
        if isinstance(classifier, Mapping):
            classifier = TASK_UTILS.build(dict(classifier))
        self.classifier = classifier
        self.detections_file, self.metrics_file = detections_file, metrics_file

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[dict]) -> None:
        """Store ground truth, proposals and detections of the videos of one batch.

        Args:
            data_batch: ``inputs``, raw features ``(C, T)`` of each video, and ``data_samples``,
                with ``video_name`` and ``annotations`` in the metainfo (and, for a classifier,
                ``feature_span`` or mmaction2's ``duration_second``, ``duration_frame``,
                ``feature_frame``).
            data_samples: Predictions ``dict(video_name=..., proposal_list=[dict(segment=[start,
                end], score=...)])``, segments in seconds; with ``label`` if the head is
                class-aware.

        Raises:
            ValueError: A video of the batch has no prediction, or the metainfo lacks a key.
        """
        proposals = {p['video_name']: p['proposal_list'] for p in data_samples}
        samples = [sample.metainfo for sample in data_batch['data_samples']]
        names = [metainfo.read(meta, 'video_name') for meta in samples]
        missing = [name for name in names if name not in proposals]
        if missing:
            raise ValueError(
                f'{len(missing)} of {len(names)} videos of a batch have no prediction, the first '
                f'is {missing[0]!r}; there are predictions for {list(proposals)[:3]}. A localizer '
                'that predicts only the first video of a batch needs a test batch size of 1')
        for name, meta, features in zip(names, samples, data_batch['inputs']):
            self.results.append({
                'video_name': name,
                'annotations': metainfo.read(meta, 'annotations'),
                'proposals': proposals[name],
                'detections': self._detect(name, meta, features, proposals[name])
            })

    def _detect(self, name: str, meta: Mapping[str, Any], features: Any,
                proposals: Sequence[dict]) -> Sequence[dict] | None:
        """Return the detections of one video; None if nothing says their classes."""
        labelled = sum('label' in proposal for proposal in proposals)
        if 0 < labelled < len(proposals):
            raise ValueError(f'video {name!r}: {labelled} of {len(proposals)} proposals have a '
                             'label; expected all or none')
        if labelled or not proposals:
            return proposals
        if self.classifier is None:
            return None
        return self.classifier.classify(name, features.float().cpu().numpy(),
                                        metainfo.feature_span(meta), proposals)

    def compute_metrics(self, results: list[dict]) -> OrderedDict:
        """Compute the figures over all videos, and write the files. Runs on the main rank only.

        Args:
            results: What :meth:`process` stored, from all ranks.

        Returns:
            ``mAP`` and ``mAP@<tIoU>``, then ``AR@<n>`` and ``auc``; fractions in ``[0, 1]``.

        Raises:
            ValueError: No video has annotations, or mAP alone is wanted but nothing gives classes.
        """
        videos = dict(sorted({r['video_name']: r for r in results}.items()))
        ground_truth = {name: r['annotations'] for name, r in videos.items()}
        proposals = {name: r['proposals'] for name, r in videos.items()}
        detections = self._detections(videos)
        if self.detections_file is not None:
            write_detections(self.detections_file, proposals if detections is None else detections)
        report: dict[str, Any] = {}
        if 'mAP' in self.metrics and detections is not None:
            precision = average_precision(ground_truth, detections, self.tiou_thresholds)
            _warn_ignored(precision.ignored)
            report['mAP'] = precision.to_dict()
        if 'AR' in self.metrics:
            recall = average_recall(ground_truth, proposals, max_proposals=self.max_proposals)
            report['AR'] = recall.to_dict(self.recall_at)
        if self.metrics_file is not None:
            with atomic_write(self.metrics_file, 'w') as file:
                json.dump(report, file, indent=2)
        return _flatten(report)

    def _detections(self, videos: Mapping[str, dict]) -> dict[str, Sequence[dict]] | None:
        """Return the detections by video, or None after a warning if there are no classes."""
        unlabelled = sum(r['detections'] is None for r in videos.values())
        if not unlabelled:
            return {name: r['detections'] for name, r in videos.items()}
        labels = {a['label'] for r in videos.values() for a in r['annotations']}
        if len(labels) == 1:
            only = {'label': labels.pop()}
            return {name: [{**only, **p} for p in r['proposals']] for name, r in videos.items()}
        if 'mAP' in self.metrics:
            message = (f'TALMetric: the proposals of {unlabelled} of {len(videos)} videos have no '
                       'label, so mAP is not computed. Give a classifier: '
                       "dict(type='ScoreFile', path=...) or "
                       "dict(type='LinearClassifier', dataset=...)")
            if 'AR' not in self.metrics:
                raise ValueError(message)
            print_log(message, logger='current', level=logging.WARNING)
        return None


def _warn_ignored(ignored: Mapping[str, int]) -> None:
    if ignored:
        print_log(
            f'TALMetric: {sum(ignored.values())} detections have one of {len(ignored)} labels '
            f'without ground truth and were ignored; the first labels are {sorted(ignored)[:3]}',
            logger='current', level=logging.WARNING)


def _flatten(report: Mapping[str, dict]) -> OrderedDict:
    """Put the figures in mmengine's flat form, mAP first: ``save_best='auto'`` takes the first."""
    figures: OrderedDict = OrderedDict()
    if 'mAP' in report:
        figures['mAP'] = report['mAP']['average']
        figures.update((f'mAP@{t}', value) for t, value in report['mAP']['per_tiou'].items())
    figures.update(report.get('AR', {}))
    return figures
