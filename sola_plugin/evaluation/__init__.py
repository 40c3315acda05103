"""Evaluation of temporal action localization.

The names exported here are plain NumPy and run without torch. What needs more is imported from its
own module: ``linear_probe`` and ``classifiers`` (scikit-learn), ``tal_metric`` (mmengine).
"""
from .average_precision import AveragePrecision, average_precision
from .average_recall import AverageRecall, average_recall
from .results_io import read_detections, write_detections
from .snippets import segment_means, snippet_centers, snippet_labels
from .tiou import ACTIVITYNET, THUMOS14, aligned_iou, segment_iou

__all__ = [
    'ACTIVITYNET', 'THUMOS14', 'AveragePrecision', 'AverageRecall', 'aligned_iou',
    'average_precision', 'average_recall', 'read_detections', 'segment_iou', 'segment_means',
    'snippet_centers', 'snippet_labels', 'write_detections'
]
