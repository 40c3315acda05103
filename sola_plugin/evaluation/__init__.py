"""Evaluation of temporal action localization.

The names exported here are plain NumPy and run without torch; each is imported when it is asked
for. What needs more is imported from its own module: ``probe.linear_probe`` and ``classifiers``
(scikit-learn), ``tal_metric`` (mmengine).
"""

from __future__ import annotations

from sola_plugin import lazy_names
from sola_plugin.segments import (
    ACTIVITYNET,
    HACS,
    THUMOS14,
    aligned_iou,
    segment_iou,
    segment_means,
    snippet_centers,
    snippet_labels,
)

_MODULE_OF = {
    'AveragePrecision': 'metrics.average_precision',
    'AverageRecall': 'metrics.recall',
    'Buckets': 'diagnosis.buckets',
    'Coverage': 'tal_evaluator',
    'Diagnosis': 'diagnosis.diagnosis',
    'Oracle': 'metrics.oracle',
    'TALEvaluator': 'tal_evaluator',
    'TopKRecall': 'metrics.topk_recall',
    'accuracy_by_distance': 'probe.boundary_distance',
    'average_precision': 'metrics.average_precision',
    'average_recall': 'metrics.recall',
    'boundary_distances': 'probe.boundary_distance',
    'diagnose': 'diagnosis.diagnosis',
    'drop_duplicates': 'tal_evaluator',
    'measure_coverage': 'tal_evaluator',
    'merge_segments': 'probe.boundary_distance',
    'nearest_proposals': 'metrics.oracle',
    'oracle': 'metrics.oracle',
    'read_detections': 'detection_files',
    'topk_recall': 'metrics.topk_recall',
    'write_detections': 'detection_files',
}

__all__ = [
    'ACTIVITYNET',
    'HACS',
    'THUMOS14',
    'aligned_iou',
    'segment_iou',
    'segment_means',
    'snippet_centers',
    'snippet_labels',
    *_MODULE_OF,
]

__getattr__ = lazy_names(__name__, _MODULE_OF)
