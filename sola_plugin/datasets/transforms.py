"""Pipeline steps of localization on frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from mmaction.structures import ActionDataSample
from mmcv.transforms import BaseTransform
from mmengine.structures import InstanceData

from .crops import Margin, check_crop, coverage, random_length, random_window


def snippet_span(
    num_snippets: int,
    duration: float,
    stride: float | None = None,
    offset: float = 0.0,
    annotated: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """The stretch of a video that its features cover.

    Args:
        num_snippets: T.
        duration: Length of the video, seconds.
        stride: Seconds between two snippets; ``None``: not known.
        offset: Seconds at which the first snippet starts.
        annotated: What the annotations say of the stretch.

    Returns:
        ``(start, end)`` in seconds: with a stride ``(offset, offset + T * stride)``, else what the
        annotations say, else the whole video.

    Example:
        >>> snippet_span(100, 60.0), snippet_span(100, 60.0, stride=0.5, offset=0.25)
        ((0.0, 60.0), (0.25, 50.25))
    """
    if stride is not None:
        return offset, offset + num_snippets * stride
    return annotated or (0.0, duration)


@TRANSFORMS.register_module()
class LoadFeatures(BaseTransform):
    """Read the features of a video and put its segments on their time axis.

    Args:
        margin: How far boundaries of actions may lie outside of the features, before and behind
            them, as shares of what the features cover; farther ones are cut. ``None``: anywhere, no
            action is cut.
        min_coverage: Smallest share of an action that must lie in the features and the margin, in
            ``[0, 1]``; an action with less is left out.

    Required keys (from :class:`~sola_plugin.datasets.tal_dataset.TALFeatureDataset`):
    ``feature_store``, ``video_name``, ``duration``, ``feature_span`` (``None`` where not known),
    ``feature_stride`` (``None``: not known), ``feature_offset``, ``gt_segments``, ``gt_classes``;
    optional ``training``: whether one of several crops is drawn. With ``feature_window``, ``(first
    snippet, number of snippets)``, only these are read.

    Added and changed keys:

    - ``raw_feature``: float32 ``(C, T)``.
    - ``feature_span``: see :func:`snippet_span`.
    - ``gt_bbox``: float64 ``(G, 2)``, segments as fractions of ``feature_span``, in ``[0, 1]`` and
      the margin. A segment of which no part is covered is left out.
    - ``gt_labels``: int64 ``(G,)``.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, margin: Margin | None = (0.0, 0.0), min_coverage: float = 0.0) -> None:
        check_crop(None, min_coverage, margin)
        self.margin = margin
        self.min_coverage = min_coverage

    def transform(self, results: dict) -> dict:
        """Add the keys above.

        Raises:
            FeatureError: The features cannot be read.
        """
        features, (start, end) = self._read(results)
        segments = np.asarray(results['gt_segments'], dtype=np.float64).reshape(-1, 2)
        boxes = (segments - start) / (end - start)
        before, behind = (np.inf, np.inf) if self.margin is None else self.margin
        kept = (coverage(boxes, 0.0, 1.0) > 0) & (
            coverage(boxes, -before, 1 + behind) >= self.min_coverage * (boxes[:, 1] - boxes[:, 0])
        )
        results['raw_feature'] = features
        results['feature_span'] = (start, end)
        # Not -before, which of 0 is -0.0.
        results['gt_bbox'] = boxes[kept].clip(0 - before, 1 + behind)
        results['gt_labels'] = np.asarray(results['gt_classes'], dtype=np.int64)[kept]
        return results

    def _read(self, results: dict) -> tuple[np.ndarray, tuple[float, float]]:
        """Features of the video, or of a window of it, and what they cover."""
        store, name = results['feature_store'], results['video_name']
        window, training = results.get('feature_window'), results.pop('training', False)
        if window is None:
            features = store.draw(name) if training else store.load(name)
            total = features.shape[1]
        else:
            features, total = store.window(name, *window), store.length(name)
        start, end = snippet_span(
            total,
            results['duration'],
            results['feature_stride'],
            results['feature_offset'],
            results['feature_span'],
        )
        if window is not None:
            first, length = window
            snippet = (end - start) / total
            start, end = start + first * snippet, start + (first + length) * snippet
        return features, (start, end)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(margin={self.margin}, min_coverage={self.min_coverage})'


@TRANSFORMS.register_module()
class CropFeatures(BaseTransform):
    """Cut a random window out of a training video, after :class:`LoadFeatures`.

    All windows that hold at least one action are equally probable; where there is none, all windows
    are. An action that lies in the window in part is cut.

    Args:
        max_length: Longest window, in snippets.
        scale: Smallest and largest share of a video that is kept when it is not longer than
            ``max_length``; ``None``: such a video is left as it is.
        min_coverage: Smallest share of an action that must lie in the window and its margin, in
            ``(0, 1]``; an action with less is left out.
        margin: Snippets before and behind the window up to which the boundaries of an action that
            is cut may lie. The published ActionFormer lets them lie where the clip of its first or
            last snippet has frames; with n frames a snippet, a new one every s frames, this is
            ``(n / s / 2 - 0.5, n / s / 2 + 0.5)``.

    Changed keys: ``raw_feature``, ``feature_span``, ``gt_bbox``, ``gt_labels``.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        max_length: int,
        scale: Sequence[float] | None = None,
        min_coverage: float = 0.5,
        margin: Margin = (0.0, 0.0),
    ) -> None:
        if max_length < 1 or not 0 < min_coverage <= 1:
            raise ValueError(
                'expected max_length >= 1 and min_coverage in (0, 1], got '
                f'max_length={max_length}, min_coverage={min_coverage}'
            )
        check_crop(scale, min_coverage, margin)
        self.max_length = max_length
        self.scale = scale
        self.min_coverage = min_coverage
        self.margin = margin

    def transform(self, results: dict) -> dict:
        """Cut the window."""
        total = results['raw_feature'].shape[1]
        length = self._length(total)
        if length == total:
            return results
        start, kept, segments = random_window(
            results['gt_bbox'] * total, total, length, self.min_coverage, self.margin
        )
        begin, end = results['feature_span']
        stride = (end - begin) / total
        results['raw_feature'] = np.ascontiguousarray(
            results['raw_feature'][:, start : start + length]
        )
        results['feature_span'] = (begin + start * stride, begin + (start + length) * stride)
        results['gt_bbox'] = segments / length
        results['gt_labels'] = results['gt_labels'][kept]
        return results

    def _length(self, total: int) -> int:
        """Draw the length of the window."""
        if total > self.max_length or self.scale is None:
            return min(total, self.max_length)
        return random_length(total, self.scale)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(max_length={self.max_length}, scale={self.scale}, '
            f'min_coverage={self.min_coverage}, margin={self.margin})'
        )


@TRANSFORMS.register_module()
class PackTALInputs(BaseTransform):
    """Pack what :class:`LoadFeatures` prepared.

    Args:
        meta_keys: Keys that become ``data_samples.metainfo``; each must be there.

    The packed item is ``dict(inputs=FloatTensor (C, T), data_samples=ActionDataSample)``, with
    ``gt_bbox`` and ``gt_labels`` in ``data_samples.gt_instances``.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            'video_name',
            'duration',
            'feature_span',
            'annotations',
            'classes',
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Make the packed item."""
        sample = ActionDataSample(metainfo={key: results[key] for key in self.meta_keys})
        sample.gt_instances = InstanceData(
            gt_bbox=torch.from_numpy(results['gt_bbox']),
            gt_labels=torch.from_numpy(results['gt_labels']),
        )
        return dict(inputs=torch.from_numpy(results['raw_feature']), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
