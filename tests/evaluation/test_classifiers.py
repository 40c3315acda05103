"""Class scores for class-agnostic proposals."""

import json
import re

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, TASK_UTILS
from mmaction.structures import ActionDataSample

from sola_plugin.evaluation.classifiers import (
    LinearClassifier,
    LinearModel,
    ScoreFile,
    StoredClassifier,
)

PROPOSALS = [{'segment': [0.0, 1.0], 'score': 0.5}, {'segment': [2.0, 4.0], 'score': 0.25}]
LABELS = ('run', 'jump', 'sleep')


@pytest.fixture
def score_file(tmp_path):
    path = tmp_path / 'scores.json'
    path.write_text(json.dumps({'v_a': {'run': 0.1, 'jump': 0.6, 'sleep': 0.3}}))
    return path


def test_score_file_multiplies_the_best_classes(score_file):
    detections = ScoreFile(score_file, top_k=2).classify('v_a', None, None, PROPOSALS)
    assert [(d['segment'], d['label']) for d in detections] == [
        ([0.0, 1.0], 'jump'),
        ([0.0, 1.0], 'sleep'),
        ([2.0, 4.0], 'jump'),
        ([2.0, 4.0], 'sleep'),
    ]
    np.testing.assert_allclose([d['score'] for d in detections], [0.3, 0.15, 0.15, 0.075])


def test_more_classes_than_there_are(score_file):
    assert len(ScoreFile(score_file, top_k=9).classify('v_a', None, None, PROPOSALS)) == 6


def test_challenge_style_equals_the_plain_file(tmp_path, score_file):
    entries = [('jump', 0.6), ('run', 0.1), ('jump', 0.2), ('sleep', 0.3)]
    path = tmp_path / 'challenge.json'
    content = [dict(label=label, score=score) for label, score in entries]
    path.write_text(json.dumps(dict(version='1.3', results={'v_a': content}, external_data={})))
    plain, challenge = (
        ScoreFile(each).classify('v_a', None, None, PROPOSALS) for each in (score_file, path)
    )
    assert challenge == plain
    content[0].pop('score')
    path.write_text(json.dumps(dict(results={'v_a': content})))
    with pytest.raises(ValueError, match='expected {label: finite score}'):
        ScoreFile(path)


def test_cuhk_style_with_prefix_equals_the_plain_file(tmp_path, score_file):
    path = tmp_path / 'cuhk.json'
    path.write_text(json.dumps({'results': {'a': [0.1, 0.6, 0.3]}, 'class': LABELS}))
    assert ScoreFile(path, prefix='v_').classify('v_a', None, None, PROPOSALS) == ScoreFile(
        score_file
    ).classify('v_a', None, None, PROPOSALS)


def test_missing_video_is_never_guessed(tmp_path):
    path = tmp_path / 'cuhk.json'
    path.write_text(json.dumps({'results': {'a': [1.0], 'b': [1.0]}, 'class': ['run']}))
    with pytest.raises(
        ValueError,
        match=r"cuhk\.json: no class scores for video 'v_a'; the file "
        r"has 2 videos, the first are \['a', 'b'\].*prefix='v_'",
    ):
        ScoreFile(path).classify('v_a', None, None, PROPOSALS)


@pytest.mark.parametrize(
    'content, message',
    [
        (
            '{"results": {"v": [0.5]}, "class": ["run", "jump"]}',
            "video 'v' has 1 scores for 2 classes",
        ),
        (
            '{"results": {"v": [0.5, NaN]}, "class": ["run", "jump"]}',
            "video 'v': expected {label: finite score}, got {'jump': nan, 'run': 0.5}",
        ),
        ('{"v": {"run": 0.5, "jump": "high"}}', "video 'v': expected {label: finite score}, got"),
        ('{"v": [0.5, 0.5]}', "video 'v': expected {label: finite score}, got [0.5, 0.5]"),
        ('{"v": {}}', "video 'v': expected {label: finite score}, got {}"),
        ('[1, 2]', 'expected {video: {label: score}}, got a list'),
        ('{"v": {"run', 'not a JSON file, or cut short'),
    ],
)
def test_bad_score_file_is_named(tmp_path, content, message):
    path = tmp_path / 'bad.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape('bad.json: ' + message)):
        ScoreFile(path)


def test_bad_top_k(score_file):
    with pytest.raises(ValueError, match='top_k must be at least 1, got 0'):
        ScoreFile(score_file, top_k=0)


def item(name, features, annotations, **meta):
    sample = ActionDataSample()
    sample.set_metainfo({'video_name': name, 'annotations': annotations, **meta})
    return {'inputs': torch.as_tensor(features, dtype=torch.float32), 'data_samples': sample}


def training_videos(labels=LABELS, num=6, seed=0):
    """Videos of 10 s, 20 snippets, in which every class lights up a channel of its own."""
    rng = np.random.default_rng(seed)
    items = []
    for i in range(num):
        features = rng.normal(scale=0.1, size=(4, 20))
        annotations = []
        for k, label in enumerate(labels):
            features[k, 6 * k : 6 * k + 4] += 1
            annotations.append({'segment': [3.0 * k, 3.0 * k + 2.0], 'label': label})
        items.append(item(f'v{i}', features, annotations, feature_span=(0.0, 10.0)))
    return items


class CountingDataset(list):
    """Counts how often an item is read."""

    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


def best_labels(classifier, video):
    proposals = [{'segment': a['segment'], 'score': 0.5} for a in video['data_samples'].annotations]
    detections = classifier.classify('v', video['inputs'].numpy(), (0.0, 10.0), proposals)
    assert len(detections) == len(proposals) * min(classifier.top_k, len(LABELS))
    return [d['label'] for d in detections[:: classifier.top_k]]


def test_linear_classifier_knows_its_classes():
    classifier = LinearClassifier(training_videos(), top_k=2)
    assert best_labels(classifier, training_videos(seed=1)[0]) == list(LABELS)


def test_scores_are_probabilities_times_the_proposal_score():
    video = training_videos(seed=1)[0]
    detections = LinearClassifier(training_videos(), top_k=3).classify(
        'v', video['inputs'].numpy(), (0.0, 10.0), PROPOSALS
    )
    assert sum(d['score'] for d in detections[:3]) == pytest.approx(0.5)
    assert sum(d['score'] for d in detections[3:]) == pytest.approx(0.25)
    assert detections[0]['score'] > detections[1]['score'] > detections[2]['score']


def test_the_dataset_is_read_once_and_only_when_needed():
    dataset = CountingDataset(training_videos())
    classifier = LinearClassifier(dataset)
    assert dataset.reads == 0
    for _ in range(3):
        classifier.classify('v', np.zeros((4, 20)), (0.0, 10.0), PROPOSALS)
    assert dataset.reads == len(dataset)


def test_the_feature_span_is_respected():
    """The same features placed 100 s later, in training and at test, give the same detections."""

    def later(video):
        annotations = [
            {**a, 'segment': [t + 100 for t in a['segment']]}
            for a in video['data_samples'].annotations
        ]
        return item('v', video['inputs'], annotations, feature_span=(100.0, 110.0))

    before = LinearClassifier(training_videos())
    after = LinearClassifier([later(v) for v in training_videos()])
    features = training_videos(seed=1)[0]['inputs'].numpy()
    shifted = [{**p, 'segment': [t + 100 for t in p['segment']]} for p in PROPOSALS]
    scores = [d['score'] for d in before.classify('v', features, (0.0, 10.0), PROPOSALS)]
    shifted_scores = [d['score'] for d in after.classify('v', features, (100.0, 110.0), shifted)]
    np.testing.assert_allclose(shifted_scores, scores, rtol=1e-6)


def test_stock_metainfo_gives_the_feature_span():
    """Features cover 240 of 300 frames of a 12.5 s video: the first 10 s."""
    stock = [
        item(
            'v',
            v['inputs'],
            v['data_samples'].annotations,
            duration_second=12.5,
            duration_frame=300,
            feature_frame=240,
        )
        for v in training_videos()
    ]
    features = training_videos(seed=1)[0]['inputs'].numpy()
    ours, theirs = LinearClassifier(training_videos()), LinearClassifier(stock)
    assert theirs.classify('v', features, (0.0, 10.0), PROPOSALS) == ours.classify(
        'v', features, (0.0, 10.0), PROPOSALS
    )


def test_one_class_has_probability_one():
    classifier = LinearClassifier(training_videos(labels=('run',)), top_k=2)
    detections = classifier.classify('v', np.zeros((4, 20)), (0.0, 10.0), PROPOSALS)
    assert [(d['label'], d['score']) for d in detections] == [('run', 0.5), ('run', 0.25)]


def test_no_proposals():
    assert (
        LinearClassifier(training_videos()).classify('v', np.zeros((4, 20)), (0.0, 1.0), []) == []
    )


def test_built_from_a_config():
    DATASETS.register_module(name='ToyVideos', module=training_videos, force=True)
    classifier = TASK_UTILS.build(
        dict(type='LinearClassifier', dataset=dict(type='ToyVideos', seed=5), top_k=1)
    )
    assert best_labels(classifier, training_videos(seed=1)[0]) == list(LABELS)


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="features of 'v' have 7 channels, .* fitted on 4"):
        LinearClassifier(training_videos()).classify('v', np.zeros((7, 20)), (0.0, 10.0), PROPOSALS)


def test_missing_metainfo_says_what_to_add():
    bare = ActionDataSample()
    bare.set_metainfo({'video_name': 'v_x'})
    classifier = LinearClassifier([{'inputs': torch.zeros(4, 20), 'data_samples': bare}])
    with pytest.raises(ValueError, match="'v_x' has no 'annotations' .* add it to 'meta_keys'"):
        classifier.classify('v', np.zeros((4, 20)), (0.0, 10.0), PROPOSALS)
    classifier = LinearClassifier([item('v_x', torch.zeros(4, 20), [], duration_second=3.0)])
    with pytest.raises(ValueError, match="'v_x' has no 'feature_span' .or 'duration_second'"):
        classifier.classify('v', np.zeros((4, 20)), (0.0, 10.0), PROPOSALS)


def test_training_data_without_segments_are_refused():
    dataset = [item('v', torch.zeros(4, 20), [], feature_span=(0.0, 10.0))]
    with pytest.raises(ValueError, match='none of the 1 items of its dataset has an annotated'):
        LinearClassifier(dataset).classify('v', np.zeros((4, 20)), (0.0, 10.0), PROPOSALS)


@pytest.mark.parametrize('labels', [LABELS, LABELS[:2], LABELS[:1]])
def test_stored_weights_are_the_classifier_to_the_bit(tmp_path, labels):
    path = tmp_path / 'classifier.npz'
    fitted = LinearClassifier(training_videos(labels), top_k=3, save_to=path)
    features = training_videos(seed=1)[0]['inputs'].numpy()
    expected = fitted.classify('v', features, (0.0, 10.0), PROPOSALS)
    stored = TASK_UTILS.build(dict(type='StoredClassifier', path=path, top_k=3))
    assert stored.classify('v', features, (0.0, 10.0), PROPOSALS) == expected
    assert len(expected) == 2 * len(labels)
    assert sum(d['score'] for d in expected[: len(labels)]) == pytest.approx(0.5)
    with pytest.raises(
        ValueError, match="of 'v' have 7 channels, but the classifier .*npz was fitted on 4"
    ):
        stored.classify('v', np.zeros((7, 20)), (0.0, 10.0), PROPOSALS)


def test_a_place_that_cannot_be_written_is_no_reason_to_stop(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'sola_plugin.evaluation.classifiers.print_log', lambda text, *_: messages.append(text)
    )
    (tmp_path / 'file').write_text('')
    classifier = LinearClassifier(training_videos(), save_to=tmp_path / 'file/classifier.npz')
    assert best_labels(classifier, training_videos(seed=1)[0]) == list(LABELS)
    assert len(messages) == 1 and 'weights of the linear classifier are not stored' in messages[0]


@pytest.mark.parametrize('num_classes', [2, 3, 7])
def test_linear_model_is_scikit_learns(num_classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(num_classes)
    samples, labels = rng.normal(3, 5, (90, 6)), [f'c{i % num_classes}' for i in range(90)]
    samples[:, 2] = 4.0  # a channel that never changes
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000)).fit(
        samples, labels
    )
    ours = LinearModel.fit(samples, labels, C=0.5)
    assert ours.labels.tolist() == theirs.classes_.tolist()
    others = rng.normal(3, 50, (40, 6))
    np.testing.assert_allclose(ours.probabilities(others), theirs.predict_proba(others), atol=1e-12)


def test_settings_tell_training_data_apart():
    config = dict(type='ToyVideos', seed=5)
    assert LinearClassifier(config).settings == LinearClassifier(dict(config)).settings
    assert (
        len(
            {
                LinearClassifier(config).settings,
                LinearClassifier(config, C=2.0).settings,
                LinearClassifier(dict(config, seed=6)).settings,
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    'content', [b'', b'PK\x03\x04torn', b'text'], ids=['empty', 'torn', 'text']
)
def test_bad_stored_classifier(tmp_path, content):
    path = tmp_path / 'classifier.npz'
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r'cannot read the classifier .*classifier.npz: .*Expected a .npz'
    ):
        StoredClassifier(path)
    np.savez(path, labels=np.array(['a']))
    with pytest.raises(ValueError, match=r'cannot read the classifier .*mean'):
        StoredClassifier(path)
    with pytest.raises(FileNotFoundError, match='classifier .*gone.npz does not exist'):
        StoredClassifier(tmp_path / 'gone.npz')


def test_stored_pickles_are_not_run(tmp_path):
    model = LinearModel.fit(np.eye(3), list(LABELS))
    model.save(tmp_path / 'good.npz')
    with np.load(tmp_path / 'good.npz') as file:
        arrays = dict(file, labels=np.array(list(LABELS), dtype=object))
    np.savez(tmp_path / 'bad.npz', **arrays)
    with pytest.raises(ValueError, match='Object arrays cannot be loaded'):
        StoredClassifier(tmp_path / 'bad.npz')
