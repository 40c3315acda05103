"""Linear probe."""
import numpy as np
import pytest

from sola_plugin.evaluation.linear_probe import linear_probe, snippet_labels


def snippets(number, separation, seed, share=.5):
    rng = np.random.default_rng(seed)
    labels = rng.random(number) < share
    features = rng.normal(size=(number, 8))
    features[:, 0] += separation * (2 * labels - 1)
    return features, labels


def test_separable_snippets_are_told_apart():
    result = linear_probe(*snippets(300, 9, 0), *snippets(200, 9, 1))
    assert result == {'accuracy': 1., 'balanced_accuracy': 1., 'average_precision': 1.}


def test_noise_is_at_chance():
    result = linear_probe(*snippets(2000, 0, 0), *snippets(2000, 0, 1))
    assert all(abs(value - .5) < .06 for value in result.values())


def test_balanced_accuracy_and_accuracy_differ_on_rare_foreground():
    result = linear_probe(*snippets(2000, 0, 0, .1), *snippets(2000, 0, 1, .1))
    assert result['accuracy'] > .85
    assert result['balanced_accuracy'] < .55


def test_length_of_the_features_does_not_matter():
    train, test = snippets(300, 1, 0), snippets(200, 1, 1)
    scale = np.random.default_rng(2).uniform(.1, 50, (300, 1))
    before = linear_probe(*train, *test)
    after = linear_probe(train[0] * scale, train[1], test[0] * 7, test[1])
    assert .6 < before['accuracy'] < 1
    assert after == pytest.approx(before, abs=1e-6)


def test_reversed_test_labels_mirror_the_accuracy():
    train, test = snippets(300, 1, 0), snippets(200, 1, 1)
    right, wrong = linear_probe(*train, *test), linear_probe(*train, test[0], ~test[1])
    assert right['accuracy'] == pytest.approx(1 - wrong['accuracy'])
    assert right['average_precision'] > wrong['average_precision']


def test_average_precision_ranks_by_confidence():
    train = np.array([[1., .1], [1., -.1], [-1., .1], [-1., -.1]]), [True, True, False, False]
    angles = np.array([.3, .1, 1.2, .9])  # confidence falls with the angle: T F T F by rank
    test = np.stack([np.cos(angles), np.sin(angles)], axis=1), [False, True, False, True]
    result = linear_probe(*train, *test)
    assert result['average_precision'] == pytest.approx((1 + 2 / 3) / 2)


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


def test_snippet_labels_are_at_hand():
    assert snippet_labels([[0, 1]], (0, 2), 2).tolist() == [True, False]
