"""Linear probe."""

from __future__ import annotations

import numpy as np
import pytest

from sola_plugin.evaluation.probe.linear_probe import (
    METRICS,
    ProbeData,
    VideoFeatures,
    bootstrap_weights,
    linear_probe,
    probe_over_seeds,
)

EDGES = np.arange(-4, 5)


def snippets(number, separation, seed, share=0.5):
    rng = np.random.default_rng(seed)
    labels = rng.random(number) < share
    features = rng.normal(size=(number, 8))
    features[:, 0] += separation * (2 * labels - 1)
    return features, labels


def videos(number, separation, seed, length=40, unit='snippets'):
    """Videos with one action each, which raises the first of 6 channels."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(number):
        features = rng.normal(size=(6, length))
        start = int(rng.integers(5, 15))
        features[0] -= separation
        features[0, start : start + 15] += 2 * separation
        found.append(VideoFeatures(features, (0.0, length / 2), [[start / 2, start / 2 + 7.5]]))
    return ProbeData.of(found, unit)


def test_separable_snippets_are_told_apart():
    result = linear_probe(*snippets(300, 9, 0), *snippets(200, 9, 1))
    assert result == {'accuracy': 1.0, 'balanced_accuracy': 1.0, 'average_precision': 1.0}


def test_noise_is_at_chance():
    result = linear_probe(*snippets(2000, 0, 0), *snippets(2000, 0, 1))
    assert all(abs(value - 0.5) < 0.06 for value in result.values())


def test_balanced_accuracy_and_accuracy_differ_on_rare_foreground():
    result = linear_probe(*snippets(2000, 0, 0, 0.1), *snippets(2000, 0, 1, 0.1))
    assert result['accuracy'] > 0.85
    assert result['balanced_accuracy'] < 0.55


def test_length_of_the_features_does_not_matter():
    train, test = snippets(300, 1, 0), snippets(200, 1, 1)
    scale = np.random.default_rng(2).uniform(0.1, 50, (300, 1))
    before = linear_probe(*train, *test)
    after = linear_probe(train[0] * scale, train[1], test[0] * 7, test[1])
    assert 0.6 < before['accuracy'] < 1
    assert after == pytest.approx(before, abs=1e-6)


def test_reversed_test_labels_mirror_the_accuracy():
    train, test = snippets(300, 1, 0), snippets(200, 1, 1)
    right, wrong = linear_probe(*train, *test), linear_probe(*train, test[0], ~test[1])
    assert right['accuracy'] == pytest.approx(1 - wrong['accuracy'])
    assert right['average_precision'] > wrong['average_precision']


def test_average_precision_ranks_by_confidence():
    train = (
        np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]]),
        [True, True, False, False],
    )
    angles = np.array([0.3, 0.1, 1.2, 0.9])  # confidence falls with the angle: T F T F by rank
    test = np.stack([np.cos(angles), np.sin(angles)], axis=1), [False, True, False, True]
    result = linear_probe(*train, *test)
    assert result['average_precision'] == pytest.approx((1 + 2 / 3) / 2)


def test_a_large_mean_that_all_snippets_share_does_not_hide_the_action():
    (train, labels), (test, test_labels) = snippets(1000, 3, 0), snippets(1000, 3, 1)
    mean = np.full(8, 30.0)
    shifted = linear_probe(train + mean, labels, test + mean, test_labels)['accuracy']
    assert shifted > 0.95
    assert (
        linear_probe(train + mean, labels, test + mean, test_labels, C=1e-3)['accuracy'] < shifted
    )


@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.parametrize('value', [True, False])
def test_one_class_is_refused(part, value):
    good = snippets(20, 1, 0)
    bad = good[0], np.full(20, value)
    with pytest.raises(ValueError, match=f'{part}: {20 * value} of 20 snippets are foreground'):
        linear_probe(*(bad if part == 'train' else good), *(bad if part == 'test' else good))


def test_wrong_shapes_are_refused():
    features, labels = snippets(20, 1, 0)
    with pytest.raises(ValueError, match=r'test: expected .* got \(20, 8\) and \(19,\)'):
        linear_probe(features, labels, features, labels[1:])
    with pytest.raises(ValueError, match='have 8 channels, test features have 5'):
        linear_probe(features, labels, features[:, :5], labels)


class TestData:
    """Snippets of videos, labelled."""

    def test_rows(self):
        data = ProbeData.of(
            [
                VideoFeatures(np.arange(8.0).reshape(2, 4), (0.0, 2.0), [[0.5, 1.0]]),
                VideoFeatures(np.ones((2, 3)), (1.0, 4.0), []),
            ]
        )
        assert data.features[:4].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
        assert data.labels.tolist() == [False, True, False, False] + [False] * 3
        assert data.videos.tolist() == [0] * 4 + [1] * 3 and data.num_videos == 2
        np.testing.assert_allclose(data.distance, [-0.5, 0.5, 0.5, 1.5] + [np.nan] * 3)
        assert data.kind.tolist() == [1, 1, -1, -1, 0, 0, 0]

    def test_seconds(self):
        in_snippets, in_seconds = videos(3, 1, 0), videos(3, 1, 0, unit='seconds')
        np.testing.assert_allclose(
            in_snippets.distance / 2, in_seconds.distance
        )  # two snippets a second
        assert (in_snippets.labels == in_seconds.labels).all()

    def test_unknown_unit_and_no_videos(self):
        with pytest.raises(
            ValueError, match=r"unit of the distance: expected one of .*got 'frames'"
        ):
            ProbeData.of([], 'frames')
        with pytest.raises(ValueError, match='at least one video, got none'):
            ProbeData.of([])


class TestSeeds:
    """The probe on resampled training videos."""

    def test_separable_snippets_are_told_apart_everywhere(self):
        probe = probe_over_seeds(videos(5, 20, 0), videos(4, 20, 1), range(3), EDGES)
        assert set(probe.scores) == set(probe.all_videos) == set(METRICS)
        assert all((values == 1).all() and values.shape == (3,) for values in probe.scores.values())
        for kind in ('start', 'end'):
            assert probe.by_distance[kind].shape == (3, 8)
            assert (probe.by_distance[kind] == 1).all() and (probe.counts[kind] == 4).all()

    def test_noise_is_at_chance(self):
        train, test = videos(50, 0, 0, length=30), videos(50, 0, 1, length=30)
        scores = probe_over_seeds(train, test, range(5), EDGES).scores['balanced_accuracy']
        assert (abs(scores - 0.5) < 0.06).all() and scores.std() > 0

    def test_weights_are_repeated_videos(self):
        train, test = videos(6, 0.5, 0), videos(4, 0.5, 1)
        weights = bootstrap_weights(train.videos, 7)
        assert weights.max() > 1 and weights.min() == 0
        again = np.repeat(np.arange(len(train.labels)), weights)
        expected = linear_probe(
            train.features[again], train.labels[again], test.features, test.labels
        )
        probe = probe_over_seeds(train, test, [7], EDGES)
        assert {metric: probe.scores[metric][0] for metric in METRICS} == pytest.approx(
            expected, abs=0.01
        )

    def test_bootstrap_draws_whole_videos_as_many_as_there_are(self):
        numbers = np.repeat(np.arange(10), np.arange(1, 11))
        drawn = np.zeros(10)
        for seed in range(200):
            weights = bootstrap_weights(numbers, seed)
            each = [weights[numbers == video] for video in range(10)]
            assert all(len(set(one)) == 1 for one in each)
            assert sum(one[0] for one in each) == 10
            drawn += [one[0] for one in each]
        np.testing.assert_allclose(drawn / 200, 1, atol=0.25)

    def test_accuracy_is_that_of_all_bins_together(self):
        train, test = videos(5, 0.5, 0), videos(4, 0.5, 1)
        probe = probe_over_seeds(train, test, range(2), np.arange(-60, 61))
        right = sum(
            np.nansum(probe.by_distance[kind] * probe.counts[kind], axis=1)
            for kind in ('start', 'end')
        )
        np.testing.assert_allclose(right / len(test.labels), probe.scores['accuracy'])

    def test_all_videos_is_the_plain_probe(self):
        train, test = videos(5, 0.5, 0), videos(4, 0.5, 1)
        assert probe_over_seeds(train, test, [0], EDGES).all_videos == linear_probe(
            train.features, train.labels, test.features, test.labels
        )

    def test_same_seed_same_figures(self):
        train, test = videos(5, 0.5, 0), videos(4, 0.5, 1)
        three, last = (probe_over_seeds(train, test, seeds, EDGES) for seeds in ([3, 4, 5], [5]))
        assert three.scores['accuracy'][2] == last.scores['accuracy'][0]
        assert len(set(three.scores['average_precision'])) > 1

    def test_test_videos_without_boundaries(self):
        features = np.random.default_rng(0).normal(size=(6, 10))
        test = ProbeData.of(
            [VideoFeatures(features, (0, 5), [[0, 5]]), VideoFeatures(features, (0, 5), [])]
        )
        probe = probe_over_seeds(videos(3, 1, 0), test, [0], EDGES)
        assert probe.scores['balanced_accuracy'] == [0.5]
        assert all(np.isnan(values).all() for values in probe.by_distance.values())
        assert not any(counts.any() for counts in probe.counts.values())

    def test_bad_input(self):
        train, test = videos(3, 1, 0), videos(2, 1, 1)
        with pytest.raises(ValueError, match='seeds: expected at least one, got none'):
            probe_over_seeds(train, test, [], EDGES)
        with pytest.raises(
            ValueError, match='resample the training videos: expected at least 2, got 1'
        ):
            probe_over_seeds(videos(1, 1, 0), test, [0], EDGES)
        with pytest.raises(ValueError, match='bin edges'):
            probe_over_seeds(train, test, [0], [1, 0])
        features = train.features[:80].T
        split = ProbeData.of(
            [
                VideoFeatures(features[:, :40], (0, 20), [[0, 20]]),
                VideoFeatures(features[:, 40:], (0, 20), []),
            ]
        )
        with pytest.raises(ValueError, match=r'drawn with seed \d: (0|40) of 40 snippets') as error:
            probe_over_seeds(split, test, range(9), EDGES)
        assert 'needs both foreground and background' in str(error.value)


def test_a_balanced_fit_does_not_forget_the_rare_class():
    """With 4 % background the plain fit calls all action; both classes weigh the same instead."""
    train, test = snippets(2000, 0.4, 0, share=0.96), snippets(2000, 0.4, 1, share=0.96)
    plain, balanced = (linear_probe(*train, *test, balanced=equal) for equal in (False, True))
    assert plain['balanced_accuracy'] < 0.55 < 0.6 < balanced['balanced_accuracy']
    assert plain['accuracy'] > 0.95
    # The same as repeating the rare snippets until there are as many.
    features, labels = train
    times = np.where(labels, 1, labels.sum() / (~labels).sum())
    repeated = np.repeat(np.arange(labels.size), np.round(times).astype(int))
    other = linear_probe(features[repeated], labels[repeated], *test)
    assert balanced['balanced_accuracy'] == pytest.approx(other['balanced_accuracy'], abs=0.02)


def test_balanced_over_seeds_and_by_distance():
    train, test = videos(8, 1.0, 0), videos(4, 1.0, 1)
    plain, balanced = (
        probe_over_seeds(train, test, range(3), EDGES, balanced=equal) for equal in (False, True)
    )
    assert not np.array_equal(plain.scores['accuracy'], balanced.scores['accuracy'])
    # Action is rarer than background here: it is found more often at its starts.
    inside = slice(len(EDGES) // 2, None)
    assert np.nanmean(balanced.by_distance['start'][:, inside]) >= np.nanmean(
        plain.by_distance['start'][:, inside]
    )
