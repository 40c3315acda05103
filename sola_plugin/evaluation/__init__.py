"""Evaluation of temporal action localization.

The names exported here are plain NumPy and run without torch. What needs more is imported from its
own module: ``linear_probe`` and ``classifiers`` (scikit-learn), ``tal_metric`` (mmengine).
"""

from .average_precision import AveragePrecision, average_precision
from .average_recall import AverageRecall, average_recall
from .boundary_distance import accuracy_by_distance, boundary_distances, merge_segments
from .characteristics import Buckets
from .coverage import Coverage, measure_coverage
from .diagnosis import Diagnosis, diagnose
from .duplicates import drop_duplicates
from .oracle import Oracle, nearest_proposals, oracle
from .results_io import read_detections, write_detections
from .snippets import segment_means, snippet_centers, snippet_labels
from .tal_evaluator import TALEvaluator
from .tiou import ACTIVITYNET, HACS, THUMOS14, aligned_iou, segment_iou
from .topk_recall import TopKRecall, topk_recall

__all__ = [
    'ACTIVITYNET',
    'AveragePrecision',
    'AverageRecall',
    'Buckets',
    'Coverage',
    'Diagnosis',
    'HACS',
    'Oracle',
    'TALEvaluator',
    'THUMOS14',
    'TopKRecall',
    'accuracy_by_distance',
    'aligned_iou',
    'average_precision',
    'average_recall',
    'boundary_distances',
    'diagnose',
    'drop_duplicates',
    'measure_coverage',
    'merge_segments',
    'nearest_proposals',
    'oracle',
    'read_detections',
    'segment_iou',
    'segment_means',
    'snippet_centers',
    'snippet_labels',
    'topk_recall',
    'write_detections',
]
