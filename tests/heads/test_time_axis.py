"""Seconds stay seconds: from annotation and feature files through every head and length, and back.

The features tell what the heads are asked for: channel 0 how much of a snippet is action, channel 1
the time of its centre. A head that is right about what it sees must then give the seconds of the
annotation file, and the targets that it is trained on must lie where its inputs have the times of
the action.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, MODELS

from sola_plugin.heads.actionformer.points import point_targets, pyramid_points, regression_ranges
from sola_plugin.heads.shared.map_targets import map_targets
from sola_plugin.heads.shared.neck_support import pad_features
from tests.conftest import CHANNELS, TINY_BMN
from tests.heads.test_actionformer import TINY as TINY_ACTIONFORMER

#: Snippets of the two videos of a batch, and their actions in snippets.
VIDEOS = {
    'v_long': (150, [(6.3, 11.8), (40.0, 52.0), (101.4, 117.9), (136.2, 141.0)]),
    'v_short': (70, [(0.4, 9.7), (30.5, 44.6)]),
}
STRIDE = 0.48

MAPS = {key: value for key, value in TINY_BMN.items() if key != 'type'}
NMS = dict(
    soft_nms_alpha=1e9,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_process_top_k=5000,
)
GTAD = dict(
    type='GTAD',
    feat_dim=CHANNELS,
    hidden_dim_1d=8,
    hidden_dim_2d=4,
    hidden_dim_3d=8,
    num_samples=4,
    num_context_samples=2,
    groups=2,
    **NMS,
)
ACTIONFORMER = dict(
    TINY_ACTIONFORMER,
    classes=None,
    post_processing=dict(sigma=1e9, top_k=5000),
    pyramid=dict(TINY_ACTIONFORMER['pyramid'], num_levels=5),
)
CELLS, WINDOW = 48, 36
MODES = {
    'BMN, resized': dict(MAPS, type='BMN', **NMS, temporal_dim=CELLS),
    'BMN, windows': dict(MAPS, type='BMN', **NMS, temporal_dim=WINDOW, windows=dict(stride=15)),
    'BMN, windows, max_duration': dict(
        MAPS,
        type='BMN',
        **NMS,
        temporal_dim=WINDOW,
        max_duration=18,
        windows=dict(stride=9, batch_size=2),
    ),
    'G-TAD, resized': dict(GTAD, temporal_dim=CELLS),
    'G-TAD, windows': dict(GTAD, temporal_dim=WINDOW, windows=dict(stride=18, min_coverage=0.99)),
    'ActionFormer, native': ACTIONFORMER,
    'ActionFormer, resized': dict(ACTIONFORMER, temporal_dim=CELLS),
    'ActionFormer, windows': dict(ACTIONFORMER, windows=dict(length=64, stride=32)),
    'ActionFormer, windows, batch': dict(
        ACTIONFORMER, windows=dict(length=80, stride=16, batch_size=3)
    ),
}


def write_data(root: Path, axis: str) -> dict:
    """Feature and annotation files of :data:`VIDEOS`, whose time axis is given in one of three
    ways.

    Returns:
        Config of the dataset.
    """
    (root / 'features').mkdir()
    options: dict = dict(feature_stride=STRIDE, feature_offset=1.7) if axis == 'stride' else {}
    begin = options.get('feature_offset', 0.0)
    flat, database = {}, {}
    for name, (length, actions) in VIDEOS.items():
        edges = np.arange(length + 1.0)
        covered = sum(np.diff(np.clip(edges, *action)) for action in actions)
        features = np.zeros((length, CHANNELS), np.float32)
        features[:, 0], features[:, 1] = covered, begin + (edges[:-1] + 0.5) * STRIDE
        np.save(root / f'features/{name}.npy', features)
        annotations = [
            dict(segment=[begin + time * STRIDE for time in action], label='jump')
            for action in actions
        ]
        # The video goes on for 11 frames at 25 frames a second after the last snippet.
        frames = round(length * STRIDE * 25)
        flat[name] = dict(
            duration_second=(frames + 11) / 25,
            duration_frame=frames + 11,
            feature_frame=frames,
            annotations=annotations,
        )
        seconds = length * STRIDE if axis == 'whole video' else begin + length * STRIDE + 0.44
        database[name] = dict(duration=seconds, annotations=annotations)
    content = flat if axis == 'frames' else dict(database=database)
    (root / 'annotations.json').write_text(json.dumps(content))
    return dict(
        type='TALFeatureDataset',
        data_root=str(root),
        ann_file='annotations.json',
        data_prefix=dict(features='features'),
        layout='TC',
        **options,
    )


@pytest.fixture(scope='module', params=['stride', 'frames', 'whole video'])
def batch(request, tmp_path_factory) -> tuple[list, list]:
    """Features and data samples of the two videos."""
    dataset = DATASETS.build(write_data(tmp_path_factory.mktemp('data'), request.param))
    items = [dataset[index] for index in range(2)]
    return [item['inputs'] for item in items], [item['data_samples'] for item in items]


def seen(features: torch.Tensor) -> torch.Tensor:
    """Actions ``(G, 2)`` that features ``(C, T)`` show, in cells."""
    inside = torch.nn.functional.pad(features[0] > 0.5, (1, 1)).int().diff()
    return torch.stack([torch.nonzero(inside == sign).flatten() for sign in (1, -1)], 1).double()


def right_maps(inputs) -> tuple[torch.Tensor, ...]:
    """Outputs of a BMN or G-TAD that is right about what it sees."""
    maps, start, end = map_targets(
        [seen(x) / x.shape[1] for x in inputs], inputs[0].shape[1], inputs[0].shape[1]
    )
    return torch.stack([maps, maps], 1), start, end


def right_points(inputs, actions=None) -> tuple:
    """Outputs of an ActionFormer that is right about what it sees, or about given actions, in
    cells."""
    actions = [seen(x) for x in inputs] if actions is None else actions
    batch, _ = pad_features(inputs)
    sizes = [-(-batch.shape[2] // 2**level) for level in range(5)]
    points = pyramid_points(sizes, regression_ranges(5))
    classes, distances = (
        torch.stack(part)
        for part in zip(
            *(
                point_targets(points, found, torch.zeros(len(found), dtype=torch.long), 1)
                for found in actions
            )
        )
    )
    masks = torch.stack([points.position < x.shape[1] for x in inputs])
    return classes * 40 - 20, distances, masks, points


def cell_length(model) -> dict[str, float]:
    """Seconds of the grid that the head of a model works on."""
    return {
        name: STRIDE if model.cells is None else length * STRIDE / model.cells
        for name, (length, _) in VIDEOS.items()
    }


@pytest.mark.parametrize('mode', MODES)
def test_from_features_to_seconds(mode, batch):
    inputs, samples = batch
    model = MODELS.build(MODES[mode]).eval()
    model._forward = right_points if 'ActionFormer' in mode else right_maps
    for result in model(inputs, samples, 'predict'):
        name = result['video_name']
        found = np.array([p['segment'] for p in result['proposal_list'] if p['score'] > 0.5])
        truth = next(sample.annotations for sample in samples if sample.video_name == name)
        for action in truth:
            # With hard edges, a boundary may be half a snippet off before it is rounded to cells.
            error = np.abs(found - action['segment']).max(1).min()
            assert error <= cell_length(model)[name], (name, action, error)


@pytest.mark.parametrize('mode', MODES)
def test_from_seconds_to_targets(mode, batch, monkeypatch):
    inputs, samples = batch
    model = MODELS.build(MODES[mode]).train()
    trained: list = []
    monkeypatch.setattr(type(model), 'loss', lambda self, x, y: trained.extend(zip(x, y)) or dict())
    model(inputs, samples, 'loss')
    found: dict[str, list] = {name: [] for name in VIDEOS}
    for features, sample in trained:
        name, cell = sample.video_name, cell_length(model)[sample.video_name]
        middle = features.shape[1] // 3
        begin = float(features[1, middle]) - (middle + 0.5) * cell
        for box in sample.gt_instances.gt_bbox * features.shape[1]:
            found[name].append((begin + box * cell).tolist())
    for sample in samples:
        for action in sample.annotations:
            errors = np.abs(np.array(found[sample.video_name]) - action['segment']).max(1)
            assert errors.min() < 1e-4  # exact, not only within a cell


@pytest.mark.parametrize('mode', [mode for mode in MODES if 'windows' not in mode])
def test_from_targets_to_seconds(mode, batch):
    """What a head is trained to give decodes to the annotated seconds."""
    inputs, samples = batch
    model = MODELS.build(MODES[mode]).eval()
    boxes = [sample.gt_instances.gt_bbox for sample in samples]

    def targets(features) -> tuple:
        size = features[0].shape[1]
        if 'ActionFormer' not in mode:
            maps, start, end = map_targets(boxes, size, size)
            return torch.stack([maps, maps], 1), start, end
        shown = [torch.zeros(2, x.shape[1]) for x in features]
        return right_points(shown, [box * x.shape[1] for box, x in zip(boxes, features)])

    model._forward = targets
    for result, sample in zip(model(inputs, samples, 'predict'), samples):
        best = np.array([p['segment'] for p in result['proposal_list'] if p['score'] > 0.3])
        for action in sample.annotations:
            error = np.abs(best - action['segment']).max(1).min()
            tolerance = (
                1e-4 if 'ActionFormer' in mode else cell_length(model)[sample.video_name] / 2
            )
            assert error <= tolerance + 1e-9
