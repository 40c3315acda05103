"""G-TAD as its authors released it for THUMOS14: loss, targets of a window and post-processing.

The references here are slow loops, written from how the public code behaves (frostinassiky/gtad,
branch of THUMOS14: ``loss_function.py``, ``gtad_lib/dataset.py``, ``gtad_postprocess.py``).
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS

from sola_plugin.heads.gtad.losses import GTADLoss, balanced_logistic_loss
from sola_plugin.heads.shared.map_postprocessing import MapPostProcessing
from tests.conftest import CHANNELS, TINY_BMN
from tests.heads.test_gtad import TINY_GTAD, build
from tests.heads.test_sliding_windows import make_sample

#: Seconds of a snippet, frames of a snippet, of the videos below.
SECOND, FRAMES = 0.5, 5


def slow_classification_loss(score, positive, valid, added=(10, 20)) -> float:
    """Entry by entry: half of it for the positives, half for the negatives."""
    parts = {True: [], False: []}
    for p, is_positive, is_valid in zip(score, positive, valid):
        if is_positive or is_valid:
            parts[is_positive].append(math.log((p if is_positive else 1 - p) + 1e-6))
    num_positive = len(parts[True]) + added[0]
    num_entries = len(parts[True]) + len(parts[False]) + added[1]
    ratio = num_entries / num_positive
    weights = {True: ratio / 2, False: ratio / 2 / (ratio - 1)}
    return -sum(weights[side] * sum(logs) for side, logs in parts.items()) / num_entries


@pytest.mark.parametrize('num_positive', [0, 1, 8, 60])
def test_counts_with_constants(num_positive):
    generator = torch.Generator().manual_seed(num_positive)
    score = 0.05 + 0.9 * torch.rand(200, generator=generator, dtype=torch.float64)
    valid = torch.rand(200, generator=generator) > 0.2
    positive = torch.zeros(200, dtype=torch.bool)
    positive[valid.nonzero().flatten()[:num_positive]] = True
    loss = balanced_logistic_loss(score, positive, valid, (10, 20)).item()
    assert loss == pytest.approx(
        slow_classification_loss(score.tolist(), positive.tolist(), valid.tolist()), rel=1e-9
    )


@pytest.mark.parametrize(('num_positive', 'ratio'), [(1, 11), (8, 2.25)])
def test_constants_make_positives_weigh_less(num_positive, ratio):
    score = torch.full((2000,), 0.5, requires_grad=True)
    positive = torch.arange(2000) < num_positive
    gradients = [
        torch.autograd.grad(balanced_logistic_loss(score, positive, None, added), score)[0][0]
        for added in ((0, 0), (10, 20))
    ]
    assert (gradients[0] / gradients[1]).item() == pytest.approx(ratio)


def test_constants_are_those_of_the_second_map_only():
    torch.manual_seed(0)
    outputs = torch.rand(1, 2, 4, 9), torch.rand(1, 9), torch.rand(1, 9)
    labels = torch.rand(1, 4, 9), torch.rand(1, 9), torch.rand(1, 9)
    mask = torch.ones(4, 9, dtype=torch.bool)
    losses = []
    for options in (dict(), dict(added_counts=(10, 20))):
        torch.manual_seed(1)
        losses.append(GTADLoss(**options)(outputs, labels, mask))
    different = {name for name in losses[0] if not torch.equal(losses[0][name], losses[1][name])}
    assert different == {'loss_classification'}
    expected = slow_classification_loss(
        outputs[0][0, 1].flatten().tolist(),
        (labels[0] > 0.9).flatten().tolist(),
        [True] * 36,
    )
    assert losses[1]['loss_classification'].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('added', [(10, 5), (-1, 3)])
def test_bad_constants(added):
    with pytest.raises(ValueError, match=r'added_counts=\(positives, entries\)'):
        GTADLoss(added_counts=added)


# --- post-processing ------------------------------------------------------------------------------


def slow_soft_nms(rows, sigma, num_kept, longest):
    """Rows ``[start, end, score]`` in frames; too long ones have score 0 and are never taken."""
    left = [[s, e, 0.0 if e - s >= longest else score] for s, e, score in rows]
    taken = []
    while len(left) > 1 and len(taken) < num_kept and max(row[2] for row in left) > 0:
        best = max(left, key=lambda row: row[2])
        left.remove(best)
        taken.append(best)
        for row in left:
            overlap = min(best[1], row[1]) - max(best[0], row[0])
            if overlap > 0:
                tiou = overlap / (max(best[1], row[1]) - min(best[0], row[0]))
                row[2] *= math.exp(-(tiou**2) / sigma)
    return taken


def slow_detections(maps, starts, frames, sigma, num_kept, longest) -> list[dict]:
    """Every cell of every window, suppressed in the window and again in the video."""
    merged = []
    for (regression, classification), first in zip(maps, starts):
        rows = [
            [
                (first + s) * FRAMES,
                (first + s + d + 1) * FRAMES,
                float(regression[d, s]) * float(classification[d, s]),
            ]
            for d in range(regression.shape[0])
            for s in range(regression.shape[1])
            if s + d + 1 < regression.shape[1]
        ]
        merged += slow_soft_nms(rows, sigma, num_kept, longest)
    per_second = FRAMES / SECOND
    return [
        dict(
            score=score,
            segment=[round(start / per_second, 1), round(min(end, frames) / per_second, 1)],
        )
        for start, end, score in slow_soft_nms(merged, sigma, num_kept, longest)
    ]


def predict(total: int, **options):
    """A G-TAD on windows of 20 snippets whose maps are random, and these maps."""
    model = build(
        max_duration=8,
        boundary_candidates=False,
        soft_nms_alpha=0.46,
        post_process_top_k=12,
        windows=dict(stride=10),
        **options,
    )
    generator = torch.Generator().manual_seed(0)
    starts = [window.start for window in model.windows.windows(total)]
    maps = torch.rand(len(starts), 2, 8, 20, generator=generator)
    model._forward = lambda inputs: (maps, torch.rand(len(starts), 20), torch.rand(len(starts), 20))
    sample = make_sample(total, [])
    sample.set_metainfo(dict(feature_span=(0.0, total * SECOND), duration=total * SECOND))
    (result,) = model([torch.randn(CHANNELS, total)], [sample], 'predict')
    return result['proposal_list'], maps, starts


@pytest.mark.parametrize('longest', [30, 32, 1000])
@pytest.mark.parametrize('total', [40, 47])
def test_post_processing_is_the_authors(total, longest):
    found, maps, starts = predict(
        total,
        post_processing=dict(suppress_windows=True, max_length=longest / FRAMES, decimals=1),
    )
    expected = slow_detections(maps.numpy(), starts, total * FRAMES, 0.46, 12, longest)
    assert len(found) == len(expected) == 12
    for ours, theirs in zip(found, expected):
        assert ours['score'] == pytest.approx(theirs['score'], rel=1e-5)
        assert ours['segment'] == theirs['segment']


def test_each_option_alone_changes_the_result():
    """Off, they are not there: what an option does is seen against the result without it."""
    plain = predict(40)[0]
    assert predict(40, post_processing=dict())[0] == plain
    lengths = [np.diff(p['segment'])[0] for p in plain]
    assert max(lengths) > 3 * SECOND
    limited = predict(40, post_processing=dict(max_length=4))[0]
    assert max(np.diff(p['segment'])[0] for p in limited) == 3 * SECOND
    twice = predict(40, post_processing=dict(suppress_windows=True))[0]
    assert [p['score'] for p in twice] != [p['score'] for p in plain]
    rounded = predict(40, post_processing=dict(decimals=0))[0]
    assert [p['segment'] for p in rounded] == [
        [round(time) for time in p['segment']] for p in plain
    ]
    voted = predict(40, post_processing=dict(voting=0.5))[0]
    assert [p['score'] for p in voted] == [p['score'] for p in plain]
    assert [p['segment'] for p in voted] != [p['segment'] for p in plain]


@pytest.mark.parametrize(('config', 'default'), [(TINY_BMN, True), (TINY_GTAD, False)])
def test_whether_boundary_scores_count(config, default):
    torch.manual_seed(0)
    maps, start, end = torch.rand(1, 2, 20, 20), torch.rand(1, 20), torch.rand(1, 20)
    found = {}
    for count in (None, True, False):
        model = MODELS.build({**config, 'post_processing': dict(boundary_scores=count)})
        model._forward = lambda inputs: (maps, start, end)
        (found[count],) = model.candidates([torch.zeros(CHANNELS, 20)])
    np.testing.assert_array_equal(found[None], found[default])
    first, last = (found[False][:, :2].T * 20).round().astype(int)
    factor = start[0].numpy()[first] * end[0].numpy()[last]
    np.testing.assert_allclose(found[True][:, 2], found[False][:, 2] * factor, rtol=1e-5)


def test_voting_by_plain_loops():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    candidates = np.column_stack([np.sort(rng.random((30, 2)), 1), rng.random(30)])
    kept = candidates[[3, 8, 20]] * [1, 1, 0.5]
    (voted,) = MapPostProcessing(voting=0.6).vote([kept], [candidates])
    for row, (start, end, score) in zip(voted, kept):
        weights = []
        for s, e, weight in candidates:
            tiou = max(min(end, e) - max(start, s), 0) / (max(end, e) - min(start, s))
            weights.append(weight * tiou if tiou >= 0.6 else 0)
        assert row[:2] == pytest.approx(np.average(candidates[:, :2], axis=0, weights=weights))
        assert row[2] == score


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(max_length=1), 'max_length above 1 cell, got 1'),
        (dict(voting=0), r'voting in \(0, 1\], got 0'),
        (dict(decimals=-1), 'decimals of 0 or more, got -1'),
        (dict(suppress_windows=True), 'suppress_windows=True needs windows'),
    ],
)
@pytest.mark.parametrize('config', [TINY_GTAD, TINY_BMN], ids=['G-TAD', 'BMN'])
def test_bad_post_processing(config, options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build({**config, 'post_processing': options})
