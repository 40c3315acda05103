"""Classes of snippets, and windows with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sola_plugin.datasets import SoLaWindowDataset
from sola_plugin.segments import BACKGROUND, snippet_classes
from tests.conftest import STRIDE, feature_dataset


def test_against_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(50):
        segments = np.sort(rng.random((5, 2)) * 20, axis=1)
        classes = rng.integers(0, 4, 5)
        labels = snippet_classes(segments.tolist(), classes.tolist(), (1.0, 21.0), 40)
        for index, label in enumerate(labels):
            center = 1.25 + 0.5 * index
            inside = [
                (end - start, number)
                for (start, end), number in zip(segments, classes)
                if start <= center <= end
            ]
            assert label == (min(inside)[1] if inside else BACKGROUND)


def test_windows_with_labels(data_root):
    dataset = SoLaWindowDataset(
        feature_dataset(data_root, subset='training'), window=9, labels=True
    )
    database = json.loads((data_root / 'annotations.json').read_text())['database']
    videos = [name for name, entry in database.items() if entry['subset'] == 'training']
    for index, name in enumerate(videos):
        features = np.load(data_root / 'features' / f'{name}.npy').T
        expected = np.full(features.shape[1], BACKGROUND)
        for action in database[name]['annotations']:
            first, last = (round(time / STRIDE) for time in action['segment'])
            expected[first:last] = ['jump', 'run'].index(action['label'])
        for place in (0.0, 0.4, 0.99):
            item = dataset[index, place]
            start = int(place * (len(expected) - 8))
            np.testing.assert_array_equal(item['inputs'], features[:, start : start + 9])
            np.testing.assert_array_equal(item['labels'], expected[start : start + 9])


def test_labels_need_annotations(data_root):
    with pytest.raises(ValueError, match='other sources have no annotations'):
        SoLaWindowDataset(dict(root=str(data_root / 'features')), window=9, labels=True)
    text = (data_root / 'annotations.json').read_text()
    content = json.loads(text)
    content['database']['v_00']['annotations'] = []
    (data_root / 'annotations.json').write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match="'v_00' has no annotated action: choose the labelled subset"
    ):
        SoLaWindowDataset(feature_dataset(data_root, filter_empty=False), window=9, labels=True)
