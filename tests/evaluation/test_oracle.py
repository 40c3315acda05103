"""The oracle: against all cells one by one, by hand, and as the upper bound that it is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sola_plugin.evaluation import average_precision
from sola_plugin.evaluation.metrics.oracle import nearest_proposals, oracle
from tests.reference import ACTIVITYNET_SETS, database_of


def naive_tiou(a, b) -> float:
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return inter / union if union > 0 else 0.0


def random_grid(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boundaries, some of them equal as at the end of a video, and allowed ends of every start."""
    size = int(rng.integers(2, 12))
    boundaries = np.sort(rng.random(size) * 10).clip(0, 8)
    starts = int(rng.integers(1, size))
    first = np.arange(1, starts + 1)
    return boundaries, first, np.minimum(first + rng.integers(0, size, starts), size - 1)


@pytest.mark.parametrize('seed', range(30))
def test_nearest_proposals_against_all_cells(seed):
    rng = np.random.default_rng(seed)
    boundaries, first, last = random_grid(rng)
    segments = np.sort(rng.random((40, 2)) * 12 - 1, axis=1)
    segments[:5] = np.sort(
        rng.choice(boundaries, (5, 2)), axis=1
    )  # on the grid, some without length
    found = nearest_proposals(segments, boundaries, first, last)
    cells = [
        (boundaries[start], boundaries[end])
        for start in range(len(first))
        for end in range(first[start], last[start] + 1)
    ]
    for segment, proposal in zip(segments, found.tolist()):
        assert tuple(proposal) in cells
        assert naive_tiou(segment, proposal) == pytest.approx(
            max(naive_tiou(segment, cell) for cell in cells), abs=1e-12
        )


def test_by_hand():
    """Cells of 1 s, proposals of at most 3 s that end before 9 s: longer ones and the last cell are
    lost."""
    boundaries, first = np.arange(10.0), np.arange(1, 10)
    segments = np.array([[1, 3], [1.2, 2.9], [2, 8], [4.4, 4.6], [8, 10], [9.2, 9.8]])
    found = nearest_proposals(segments, boundaries, first, np.minimum(first + 2, 9))
    tiou = [naive_tiou(*pair) for pair in zip(segments, found)]
    assert tiou == pytest.approx([1, 1.7 / 2, 3 / 6, 0.2, 1 / 2, 0])


def test_no_segments():
    assert nearest_proposals(
        np.zeros((0, 2)), np.arange(3.0), np.array([1]), np.array([2])
    ).shape == (0, 2)


def test_figures_by_hand():
    """Two classes: of one both segments are found at 0.5, of the other one of two."""
    truth = {
        'a': [dict(segment=[0, 10], label='run'), dict(segment=[20, 30], label='jump')],
        'b': [dict(segment=[0, 4], label='jump'), dict(segment=[5, 6], label='run')],
    }
    nearest = {'a': np.array([[0, 8], [20, 26]]), 'b': np.array([[0, 1], [5, 6]])}
    best = oracle(truth, nearest, [0.5, 0.7])
    assert best.tiou.tolist() == [0.8, 0.6, 0.25, 1.0]
    assert best.recall.tolist() == [0.75, 0.5]
    assert best.precision.labels == ('jump', 'run')
    assert best.precision.per_class.tolist() == [[0.5, 0.0], [1.0, 1.0]]
    assert best.to_dict() == dict(
        mAP=dict(average=0.625, per_tiou={'0.5': 0.75, '0.7': 0.5}),
        recall=dict(average=0.625, per_tiou={'0.5': 0.75, '0.7': 0.5}),
    )


def test_what_no_proposal_reaches_costs_recall_only():
    truth = {
        'a': [dict(segment=[0, 10], label='run'), dict(segment=[3, 3], label='run')],
        'empty': [],
    }
    best = oracle(truth, {'a': np.array([[0, 10], [0, 0]]), 'empty': np.zeros((0, 2))}, [0.5])
    assert best.tiou.tolist() == [1, 0] and best.precision.mAP.tolist() == [0.5]


@pytest.mark.parametrize('segment', [[5, 2], [float('nan'), 2]])
def test_bad_truth_names_the_video(segment):
    with pytest.raises(ValueError, match="of video 'a'"):
        oracle({'a': [dict(segment=segment, label='run')]}, {'a': np.array([[0, 1]])})


def test_no_truth():
    with pytest.raises(ValueError, match='none of the 1 videos has an annotated segment'):
        oracle({'a': []}, {'a': np.zeros((0, 2))})


def random_truth(rng: np.random.Generator) -> dict[str, list[dict]]:
    return {
        f'v_{video}': [
            dict(segment=np.sort(rng.random(2) * 10).tolist(), label=f'class {rng.integers(3)}')
            for _ in range(rng.integers(1, 7))
        ]
        for video in range(4)
    }


def segments_of(actions) -> np.ndarray:
    return np.array([action['segment'] for action in actions])


@pytest.mark.parametrize('seed', range(10))
def test_no_detections_of_the_grid_beat_the_oracle(seed):
    """Neither random ones, nor all proposals in every class, nor the nearest ones with other
    scores."""
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    grid = np.arange(9.0) / 8 * 10, np.arange(1, 8), np.minimum(np.arange(1, 8) + 3, 7)
    nearest = {
        video: nearest_proposals(segments_of(actions), *grid) for video, actions in truth.items()
    }
    thresholds = np.arange(1, 10) / 10
    best = oracle(truth, nearest, thresholds)
    boundaries, first, last = grid
    cells = [
        [boundaries[start], boundaries[end]]
        for start in range(7)
        for end in range(first[start], last[start] + 1)
    ]

    def at_random(video: str) -> list:
        return [
            (cells[rng.integers(len(cells))], f'class {rng.integers(3)}', rng.random())
            for _ in range(20)
        ]

    def everything(video: str) -> list:
        return [
            (cell, label, max(naive_tiou(cell, action['segment']) for action in truth[video]))
            for cell, label in itertools.product(cells, best.precision.labels)
        ]

    def nearest_at_random(video: str) -> list:
        return [
            (segment, action['label'], rng.random())
            for segment, action in zip(nearest[video].tolist(), truth[video])
        ]

    for choose in (*[at_random] * 20, everything, *[nearest_at_random] * 5):
        detections = {
            video: [
                dict(segment=segment, label=label, score=score)
                for segment, label, score in choose(video)
            ]
            for video in truth
        }
        found = average_precision(truth, detections, thresholds)
        assert (found.per_class <= best.precision.per_class + 1e-12).all()


def check_shares(truth, best) -> None:
    """The average precision of a class is the share of its segments that is reached."""
    labels = np.array([action['label'] for actions in truth.values() for action in actions])
    for label, row in zip(best.precision.labels, best.precision.per_class):
        reached = best.tiou[labels == label] >= best.tiou_thresholds[:, None]
        np.testing.assert_allclose(row, reached.mean(axis=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize('seed', range(10))
def test_average_precision_is_the_share_that_is_reached(seed):
    truth = random_truth(np.random.default_rng(seed))
    grid = np.arange(9.0) / 8 * 10, np.arange(1, 9), np.full(8, 8)
    check_shares(
        truth,
        oracle(
            truth,
            {
                video: nearest_proposals(segments_of(actions), *grid)
                for video, actions in truth.items()
            },
        ),
    )


@pytest.mark.parametrize('name', ACTIVITYNET_SETS)
def test_average_precision_is_the_share_that_is_reached_on_activitynet(name):
    """100 cells of the whole video, as BMN has them, without its limits."""
    videos = {v: x for v, x in database_of(name).items() if x['subset'] == 'validation'}
    truth = {video_id: video['annotations'] for video_id, video in videos.items()}
    ends = np.arange(1, 101), np.full(100, 100)
    nearest = {
        video_id: nearest_proposals(
            segments_of(video['annotations']), np.linspace(0, video['duration'], 101), *ends
        )
        for video_id, video in videos.items()
    }
    check_shares(truth, oracle(truth, nearest))


def test_exact_proposals_give_everything():
    truth = random_truth(np.random.default_rng(0))
    best = oracle(truth, {video: segments_of(actions) for video, actions in truth.items()})
    assert best.precision.average == best.recall.mean() == 1
