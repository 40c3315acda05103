"""Videos with predictions, for the tests of the metric (also imported by worker processes)."""

from __future__ import annotations

import numpy as np
import torch
from mmaction.structures import ActionDataSample

LABELS = ('run', 'jump')


def make_videos(num: int, labelled: bool, seed: int = 0) -> list[tuple[dict, dict]]:
    """Return ``(dataset item, prediction)`` of videos of 20 s; scores tie, videos may be empty."""
    rng = np.random.default_rng(seed)

    def annotation():
        start, length = rng.integers(0, 12), rng.integers(1, 8)
        return {'segment': [float(start), float(start + length)], 'label': LABELS[rng.integers(2)]}

    def proposal(truth):
        near = truth[rng.integers(len(truth))] if truth and rng.random() < 0.6 else annotation()
        start, end = near['segment']
        entry = {'segment': [start, end + rng.random()], 'score': float(rng.integers(1, 9) / 8)}
        return {**entry, 'label': near['label']} if labelled else entry

    videos = []
    for i in range(num):
        truth = [annotation() for _ in range(rng.integers(0, 4))]
        sample = ActionDataSample()
        sample.set_metainfo(
            {
                'video_name': f'v_{i:02d}',
                'duration': 20.0,
                'feature_span': (0.0, 20.0),
                'annotations': truth,
            }
        )
        item = {'inputs': torch.as_tensor(rng.normal(size=(3, 10 + i))), 'data_samples': sample}
        proposals = [proposal(truth) for _ in range(rng.integers(0, 9))]
        videos.append((item, {'video_name': f'v_{i:02d}', 'proposal_list': proposals}))
    return videos


def feed(metric, videos: list[tuple[dict, dict]], batch_size: int) -> None:
    """Pass videos to ``metric.process`` in batches as mmengine's test loop does."""
    for i in range(0, len(videos), batch_size):
        items, predictions = zip(*videos[i : i + batch_size])
        batch = {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}
        metric.process(batch, list(predictions))
