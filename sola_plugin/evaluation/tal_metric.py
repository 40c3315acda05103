"""The metrics of temporal action localization as a mmengine metric."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mmaction.registry import METRICS, TASK_UTILS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from sola_plugin.evaluation.metrics.columns import PerVideo
from sola_plugin.io import atomic_write

from .detection_files import write_detections
from .tal_evaluator import TALEvaluator, measure_coverage

#: What mmaction2 notes of the time axis.
_STOCK_KEYS = ('duration_second', 'duration_frame', 'feature_frame')


@METRICS.register_module()
class TALMetric(BaseMetric):
    """mAP, AR@AN and Recall@kx of temporal action localization, see :class:`.TALEvaluator`.

    Ground truth travels with the results, a video counts once however often a sampler repeats it,
    and videos are put in order before they are scored. So any number of ranks and any batch size
    give the figures of one process.

    mAP and Recall@kx need classes. They come from the predictions if these have labels, else from
    ``classifier``, else from the ground truth if that has only one class. Otherwise only AR is
    reported, with a warning.

    Args:
        tiou_thresholds: Of mAP and Recall@kx: ``'activitynet'`` or ``'hacs'`` (0.5:0.05:0.95),
            ``'thumos14'`` (0.3:0.1:0.7), or a list. AR always uses 0.5:0.05:0.95, as the official
            proposal evaluator does.
        metrics: Some of ``'mAP'``, ``'AR'``, ``'Recall@kx'``.
        recall_at: The ``n`` of the AR@n to report.
        max_proposals: Largest average number of proposals per video of the AR@AN curve.
        top_k: The ``k`` of Recall@kx.
        per_class: Also write the average precision of every class to ``metrics_file``.
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

    def __init__(
        self,
        tiou_thresholds: str | Sequence[float] = 'activitynet',
        metrics: Sequence[str] = ('mAP', 'AR'),
        recall_at: Sequence[int] = (1, 5, 10, 100),
        max_proposals: int = 100,
        top_k: Sequence[int] = (1, 5),
        per_class: bool = False,
        classifier: Any = None,
        detections_file: str | os.PathLike | None = None,
        metrics_file: str | os.PathLike | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
        self.evaluator = TALEvaluator(
            metrics, tiou_thresholds, recall_at, max_proposals, top_k, per_class
        )
        if isinstance(classifier, Mapping):
            classifier = TASK_UTILS.build(dict(classifier))
        self.classifier = classifier
        self.detections_file, self.metrics_file = detections_file, metrics_file

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[dict]) -> None:
        """Store ground truth, proposals and detections of the videos of one batch.

        Args:
            data_batch: ``inputs``, raw features ``(C, T)`` of each video, and ``data_samples``,
                with ``video_name`` and ``annotations`` in the metainfo (and, for a classifier that
                looks at features, ``feature_span`` or mmaction2's ``duration_second``,
                ``duration_frame``, ``feature_frame``).
            data_samples: Predictions ``dict(video_name=..., proposal_list=[dict(segment=[start,
                end], score=...)])``, segments in seconds; with ``label`` if the head is
                class-aware.

        Raises:
            ValueError: A video of the batch has no prediction, or the metainfo lacks a key.
        """
        proposals = {p['video_name']: p['proposal_list'] for p in data_samples}
        samples = [sample.metainfo for sample in data_batch['data_samples']]
        names = [read_metainfo(meta, 'video_name') for meta in samples]
        missing = [name for name in names if name not in proposals]
        if missing:
            raise ValueError(
                f'{len(missing)} of {len(names)} videos of a batch have no prediction, the first '
                f'is {missing[0]!r}; there are predictions for {list(proposals)[:3]}. A localizer '
                'that predicts only the first video of a batch needs a test batch size of 1'
            )
        for name, meta, features in zip(names, samples, data_batch['inputs']):
            self.results.append(
                {
                    'video_name': name,
                    'annotations': read_metainfo(meta, 'annotations'),
                    'proposals': proposals[name],
                    'detections': self._detect(name, meta, features, proposals[name]),
                }
            )

    def _detect(
        self, name: str, meta: Mapping[str, Any], features: Any, proposals: Sequence[dict]
    ) -> Sequence[dict] | None:
        """Return the detections of one video; None if nothing says their classes."""
        labelled = sum('label' in proposal for proposal in proposals)
        if 0 < labelled < len(proposals):
            raise ValueError(
                f'video {name!r}: {labelled} of {len(proposals)} proposals have a '
                'label; expected all or none'
            )
        if labelled or not proposals:
            return proposals
        if self.classifier is None:
            return None
        if not getattr(self.classifier, 'needs_features', True):
            return self.classifier.classify(name, proposals=proposals)
        return self.classifier.classify(
            name, features.float().cpu().numpy(), feature_span(meta), proposals
        )

    def evaluate(self, size: int) -> dict:
        """Compute the figures over all videos, and write the files.

        Args:
            size: Number of videos.

        Returns:
            ``mAP`` and ``mAP@<tIoU>``, ``AR@<n>`` and ``auc``, ``Recall@<k>x`` and
            ``Recall@<k>x@<tIoU>``, each after the prefix; fractions in ``[0, 1]``, the same on all
            ranks.

        Raises:
            ValueError: No video has annotations, or all metrics need classes but nothing gives
                them.
            RuntimeError: The same on the other ranks, with the error of the main rank.
        """
        figures = super().evaluate(size)
        for figure in figures.values():
            if isinstance(figure, _Failure):
                raise figure.error
        return figures

    def compute_metrics(self, results: list[dict]) -> Mapping[str, Any]:
        """Give mmengine the figures, or why there are none. Runs on the main rank only.

        An error raised here would leave the other ranks waiting for the figures until the time-out
        of the process group. As a result it reaches them, and :meth:`evaluate` raises it on every
        rank.

        Args:
            results: What :meth:`process` stored, from all ranks.
        """
        try:
            return self._figures(results)
        except Exception as error:
            return {'error': _Failure(error)}

    def _figures(self, results: list[dict]) -> OrderedDict:
        videos = dict(sorted({r['video_name']: r for r in results}.items()))
        ground_truth = {name: r['annotations'] for name, r in videos.items()}
        proposals = {name: r['proposals'] for name, r in videos.items()}
        detections, evaluator = self._detections(videos), self.evaluator
        if detections is None:
            detections, evaluator = proposals, dataclasses.replace(evaluator, metrics=('AR',))
        if self.detections_file is not None:
            write_detections(self.detections_file, detections)
        _report_coverage(ground_truth, detections)
        figures = evaluator(ground_truth, detections, proposals)
        if self.metrics_file is not None:
            with atomic_write(self.metrics_file, 'w') as file:
                json.dump(figures, file, indent=2)
        return _flatten(figures)

    def _detections(self, videos: Mapping[str, dict]) -> dict[str, Sequence[dict]] | None:
        """Return the detections by video, or None after a warning if there are no classes."""
        unlabelled = sum(r['detections'] is None for r in videos.values())
        if not unlabelled:
            return {name: r['detections'] for name, r in videos.items()}
        labels = {a['label'] for r in videos.values() for a in r['annotations']}
        if len(labels) == 1:
            only = {'label': labels.pop()}
            return {name: [{**only, **p} for p in r['proposals']] for name, r in videos.items()}
        if self.evaluator.needs_labels:
            message = (
                f'TALMetric: the proposals of {unlabelled} of {len(videos)} videos have no '
                'label, so only AR can be computed. Give a classifier: '
                "dict(type='ScoreFile', path=...) or "
                "dict(type='LinearClassifier', dataset=...)"
            )
            if 'AR' not in self.evaluator.metrics:
                raise ValueError(message)
            print_log(message, logger='current', level=logging.WARNING)
        return None


class _Failure:
    """An error in the place of a figure.

    Other ranks get its text: not every error can be pickled.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> tuple:
        text = f'TALMetric failed on the main rank: {type(self.error).__name__}: {self.error}'
        return _Failure, (RuntimeError(text),)


def _report_coverage(ground_truth: PerVideo, detections: PerVideo) -> None:
    coverage = measure_coverage(ground_truth, detections)
    for level, sentences in ((logging.WARNING, coverage.warnings), (logging.INFO, coverage.notes)):
        for sentence in sentences:
            print_log(f'TALMetric: {sentence}', logger='current', level=level)


def _flatten(figures: Mapping[str, dict]) -> OrderedDict:
    """Put the figures in mmengine's flat form, mAP first: ``save_best='auto'`` takes the first."""
    flat: OrderedDict = OrderedDict()
    if 'mAP' in figures:
        flat.update(_named('mAP', figures['mAP']))
    flat.update(figures.get('AR', {}))
    for k, recall in figures.get('Recall@kx', {}).items():
        flat.update(_named(f'Recall@{k}x', recall))
    return flat


def _named(name: str, summary: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: summary['average'],
        **{f'{name}@{tiou}': value for tiou, value in summary['per_tiou'].items()},
    }


def read_metainfo(metainfo: Mapping[str, Any], key: str) -> Any:
    """Return ``metainfo[key]``.

    Raises:
        ValueError: The key is missing; the message says how to get it into the metainfo.
    """
    if key not in metainfo:
        raise ValueError(_missing(metainfo, repr(key)))
    return metainfo[key]


def feature_span(metainfo: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ``(start, end)`` in seconds that a video's features cover.

    With mmaction2's own annotation keys, the features cover ``feature_frame`` of ``duration_frame``
    frames from the start of the video.

    Raises:
        ValueError: Neither ``feature_span`` nor all of mmaction2's keys are there.
    """
    if 'feature_span' in metainfo:
        start, end = metainfo['feature_span']
        return float(start), float(end)
    if any(key not in metainfo for key in _STOCK_KEYS):
        stock = ', '.join(map(repr, _STOCK_KEYS))
        raise ValueError(_missing(metainfo, f"'feature_span' (or {stock})"))
    seconds, frames, covered = (float(metainfo[key]) for key in _STOCK_KEYS)
    return 0.0, covered / frames * seconds


def _missing(metainfo: Mapping[str, Any], keys: str) -> str:
    return (
        f'the data sample of video {metainfo.get("video_name", "?")!r} has no {keys} in its '
        "metainfo: add it to 'meta_keys' of the packing transform (PackLocalizationInputs) in "
        "this dataset's pipeline"
    )
