"""Pipeline steps of localization on frozen features."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmaction.structures import ActionDataSample
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Read the features of a video and put its segments on their time axis.

    Required keys (from :class:`~sola_plugin.datasets.tal_feature_dataset.TALFeatureDataset`):
    ``feature_store``, ``video_name``, ``duration``, ``feature_span`` (``None`` where not known),
    ``feature_stride`` (``None``: not known), ``feature_offset``, ``gt_segments``, ``gt_classes``.

    Added and changed keys:

    - ``raw_feature``: float32 ``(C, T)``.
    - ``feature_span``: ``(start, end)`` of the stretch that the T snippets cover, seconds. With a
      stride ``(offset, offset + T * stride)``, else what the annotations say, else the whole video.
    - ``gt_bbox``: float64 ``(G, 2)``, segments as fractions of ``feature_span``, in ``[0, 1]``. A
      segment of which no part is covered is left out.
    - ``gt_labels``: int64 ``(G,)``.
    """

    def transform(self, results: dict) -> dict:
        """Add the keys above.

        Raises:
            FeatureError: The features cannot be read.
        """
        features = results['feature_store'].load(results['video_name'])
        start, end = self._span(results, features.shape[1])
        segments = np.asarray(results['gt_segments'], dtype=np.float64).reshape(-1, 2)
        boxes = np.clip((segments - start) / (end - start), 0.0, 1.0)
        covered = boxes[:, 0] < boxes[:, 1]
        results['raw_feature'] = features
        results['feature_span'] = (start, end)
        results['gt_bbox'] = boxes[covered]
        results['gt_labels'] = np.asarray(results['gt_classes'], dtype=np.int64)[covered]
        return results

    @staticmethod
    def _span(results: dict, num_snippets: int) -> tuple[float, float]:
        stride, offset = results['feature_stride'], results['feature_offset']
        if stride is not None:
            return offset, offset + num_snippets * stride
        return results['feature_span'] or (0.0, results['duration'])

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class PackTALInputs(BaseTransform):
    """Pack what :class:`LoadFeatures` prepared.

    Args:
        meta_keys: Keys that become ``data_samples.metainfo``; each must be there.

    The packed item is ``dict(inputs=FloatTensor (C, T), data_samples=ActionDataSample)``, with
    ``gt_bbox`` and ``gt_labels`` in ``data_samples.gt_instances``.
    """

    def __init__(self, meta_keys: Sequence[str] = ('video_name', 'duration', 'feature_span',
                                                   'annotations')) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Make the packed item."""
        sample = ActionDataSample(metainfo={key: results[key] for key in self.meta_keys})
        sample.gt_instances = InstanceData(gt_bbox=torch.from_numpy(results['gt_bbox']),
                                           gt_labels=torch.from_numpy(results['gt_labels']))
        return dict(inputs=torch.from_numpy(results['raw_feature']), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
