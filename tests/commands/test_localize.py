"""From a trained localizer and features to detections."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config

from sola_plugin.commands import load_localizer, localize
from sola_plugin.commands.localization import localizing, video_features
from sola_plugin.commands.localization.localizing import class_names, find_classifier
from sola_plugin.commands.localization.video_features import LazyFeatures, check_length, time_axis
from sola_plugin.commands.testing import test_localizer as run_test
from sola_plugin.datasets.features.folder import FeatureFolder
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.evaluation.classifiers import LinearClassifier, StoredClassifier
from sola_plugin.evaluation.detection_files import read_detections
from tests.commands.localizers import NAMES, config, feature_file, in_order, save_random
from tests.conftest import CHANNELS, STRIDE, TINY_BMN
from tests.heads.test_actionformer import SOLA
from tests.heads.test_actionformer import TINY as TINY_ACTIONFORMER
from tests.heads.test_localizers import TINY_TCANET, TINY_TEM

#: Compared to the bit.
ON_CPU = True


def model_of(folder):
    return load_localizer(folder / 'config.py', folder / 'work/epoch_2.pth')


def test_equals_the_test_tool_to_the_bit(bmn):
    expected = read_detections(bmn / 'work/detections.json')
    model = model_of(bmn)
    classifier = find_classifier(model, bmn / 'work')
    assert isinstance(classifier, StoredClassifier)  # of the test, not fitted again
    for name in NAMES:
        found = localize(model, feature_file(bmn, name), classifier=classifier)
        assert in_order(found) == in_order(expected[name]) and len(found) == 40
        assert [d['score'] for d in found] == sorted((d['score'] for d in found), reverse=True)


@pytest.mark.parametrize(
    'model',
    [
        dict(TINY_BMN, windows=dict(stride=7, batch_size=2), neck=SOLA),
        dict(TINY_BMN, type='GTAD', num_context_samples=2, groups=2, windows=dict(stride=10)),
        dict(TINY_ACTIONFORMER, neck=SOLA),
        dict(TINY_ACTIONFORMER, neck=SOLA, windows=dict(length=64)),
        dict(TINY_ACTIONFORMER, classes=None, temporal_dim=16),
    ],
    ids=[
        'BMN windows',
        'G-TAD windows',
        'ActionFormer',
        'ActionFormer windows',
        'ActionFormer resized',
    ],
)
def test_every_way_of_length_equals_the_test_tool_to_the_bit(bmn, tmp_path, model):
    model = {
        key: value
        for key, value in model.items()
        if model['type'] != 'GTAD' or key not in ('boundary_ratio', 'num_samples_per_bin')
    }
    cfg = config(bmn / 'data', tmp_path, model)
    checkpoint = save_random(cfg, tmp_path / 'random.pth', classes=['jump', 'run'])
    run_test(Config(cfg.to_dict()), checkpoint)
    expected = read_detections(tmp_path / 'detections.json')
    localizer = load_localizer(cfg, checkpoint)
    classifier = find_classifier(localizer, tmp_path)
    for name in NAMES:
        found = localize(localizer, feature_file(bmn, name), classifier=classifier)
        assert in_order(found) == in_order(expected[name]) and len(found) >= 20


def test_paths_arrays_and_tensors_are_the_same(bmn, actionformer):
    cfg = Config.fromfile(actionformer[0])
    cfg.model.windows = dict(length=64)
    for model in (load_localizer(cfg, actionformer[1]), load_localizer(*actionformer)):
        expected = localize(model, str(feature_file(bmn)))
        assert len(expected) == 20 and {d['label'] for d in expected} <= {'jump', 'run'}
        mapped = np.load(feature_file(bmn), mmap_mode='r')
        for features in (mapped.T, np.array(mapped.T), torch.from_numpy(mapped.T.copy())):
            assert localize(model, features) == expected


def test_a_long_video_is_read_in_parts(bmn, actionformer, tmp_path, monkeypatch):
    """An hour at half a second: no more than a window is read at once, by the classifier too."""
    features = np.random.default_rng(0).normal(size=(7200, CHANNELS)).astype(np.float32)
    np.save(tmp_path / 'v_long.npy', features)
    lengths = []
    window = FeatureFolder.window
    monkeypatch.setattr(FeatureFolder, 'load', None)
    monkeypatch.setattr(
        FeatureFolder,
        'window',
        lambda self, name, start, length: (
            lengths.append(length),
            window(self, name, start, length),
        )[1],
    )
    cfg = config(
        bmn / 'data', tmp_path, dict(TINY_ACTIONFORMER, classes=None, windows=dict(length=256))
    )
    model = load_localizer(cfg, save_random(cfg, tmp_path / 'random.pth'))
    classifier = StoredClassifier(bmn / 'work/classifier.npz')
    found = localize(model, tmp_path / 'v_long.npy', classifier=classifier)
    assert max(lengths) == 1024 and lengths.count(256) > 30
    assert max(d['segment'][1] for d in found) > 1800
    assert {d['label'] for d in found} == {'jump', 'run'}


@pytest.mark.parametrize('suffix', ['.csv', '.npz'])
def test_formats_that_cannot_be_read_in_parts(bmn, actionformer, tmp_path, suffix):
    features = np.load(feature_file(bmn))
    path = tmp_path / f'v_04{suffix}'
    if suffix == '.csv':
        np.savetxt(path, features, '%.9e', ',')
    else:
        np.savez(path, features=features)
    model = load_localizer(*actionformer)
    assert localize(model, path) == localize(model, feature_file(bmn))


def test_the_classifier_needs_no_training_data(bmn, tmp_path):
    model = model_of(bmn)
    path = bmn / 'work/classifier.npz'
    other = Config.fromfile(bmn / 'config.py')
    other.train_dataloader.dataset.data_root = str(tmp_path / 'gone')
    model.cfg = other
    with pytest.raises(FeatureError, match='gone'):  # of other training data: not taken
        find_classifier(model, path.parent)
    found = localize(model, feature_file(bmn), classifier=StoredClassifier(path))
    assert {d['label'] for d in found} == {'jump', 'run'}


def test_the_classifier_is_fitted_and_stored_once(bmn, tmp_path):
    model = model_of(bmn)
    assert isinstance(find_classifier(model, tmp_path), LinearClassifier)
    assert isinstance(find_classifier(model, tmp_path), StoredClassifier)
    fitted, tested = (np.load(folder / 'classifier.npz') for folder in (tmp_path, bmn / 'work'))
    assert all(np.array_equal(fitted[key], tested[key]) for key in tested)


def test_the_classifier_of_the_config(bmn, tmp_path):
    (tmp_path / 'scores.json').write_text(json.dumps({'v_04': dict(swim=1.0)}))
    model = model_of(bmn)
    model.cfg.test_evaluator.classifier = dict(type='ScoreFile', path=str(tmp_path / 'scores.json'))
    found = localize(model, feature_file(bmn), classifier=find_classifier(model, tmp_path))
    assert {d['label'] for d in found} == {'swim'}


@pytest.mark.parametrize(
    ('classes', 'label'), [(['jump'], 'jump'), (['jump', 'run'], None), ([], None)]
)
def test_proposals_without_a_classifier(bmn, tmp_path, classes, label):
    cfg = config(bmn / 'data', tmp_path, TINY_BMN)
    model = load_localizer(cfg, save_random(cfg, tmp_path / 'random.pth', classes=classes))
    found = localize(model, feature_file(bmn))
    assert {d.get('label') for d in found} == {label} and class_names(model) == tuple(classes)
    if label is not None:
        assert find_classifier(model, tmp_path) is None


def test_time_axis_of_the_features(bmn, actionformer, tmp_path):
    model = load_localizer(*actionformer)
    features = np.load(feature_file(bmn)).T
    length = features.shape[1]
    base = localize(model, features)  # half a second, from the config
    for options, begin, scale in (
        (dict(feature_stride=2.0), 0.0, 4.0),
        (dict(feature_stride=2.0, feature_offset=3.0), 3.0, 4.0),
        (dict(feature_offset=7.0), 7.0, 1.0),
    ):
        found = localize(model, features, **options)
        for a, b in zip(found, base, strict=True):
            np.testing.assert_allclose(a['segment'], begin + scale * np.array(b['segment']))
    found = localize(model, features, duration=length * STRIDE - 1)
    assert max(d['segment'][1] for d in found) == length * STRIDE - 1
    del model.cfg.test_dataloader.dataset['feature_stride']
    for a, b in zip(localize(model, features, duration=1.0), base, strict=True):
        np.testing.assert_allclose(a['segment'], np.array(b['segment']) / (length * STRIDE))
    # What is noted beside the features of the config stands for what the config leaves out.
    model.cfg.test_dataloader.dataset.data_prefix = dict(features=[str(tmp_path)])
    (tmp_path / 'features.json').write_text(
        json.dumps(dict(feature_stride=STRIDE, feature_offset=2))
    )
    for a, b in zip(localize(model, features), base, strict=True):
        np.testing.assert_allclose(a['segment'], 2 + np.array(b['segment']))


@pytest.mark.parametrize(
    ('options', 'given', 'expected'),
    [
        (dict(feature_stride=0.5, feature_offset=0.25), {}, ((0.25, 10.25), 10.25)),
        (dict(feature_stride=0.5, feature_offset=0.25), dict(duration=10.5), ((0.25, 10.25), 10.5)),
        (dict(feature_stride=0.5, feature_offset=0.25), dict(stride=1.0), ((0.0, 20.0), 20.0)),
        (dict(feature_stride=0.5), dict(offset=1.0), ((1.0, 11.0), 11.0)),
        (dict(feature_stride=None), dict(duration=33.0), ((0.0, 33.0), 33.0)),
        ({}, dict(stride=1.0, offset=2.0, duration=22.0), ((2.0, 22.0), 22.0)),
    ],
)
def test_time_axis(options, given, expected):
    assert time_axis('v', 20, options, **given) == expected


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({}, 'v: features have no time of their own: give feature_stride'),
        (dict(offset=1.0, duration=3.0), 'v: feature_offset is 1.0, which needs feature_stride'),
        (dict(stride=0.0), 'v: feature_stride is 0.0, expected seconds above 0'),
        (dict(duration=float('nan')), 'v: duration is nan, expected seconds above 0'),
    ],
)
def test_bad_time_axis(given, message):
    with pytest.raises(ValueError, match=message):
        time_axis('v', 20, {}, **given)


@pytest.fixture
def log(monkeypatch) -> list[str]:
    """Messages of the library."""
    messages: list[str] = []
    for module in (video_features, localizing):
        monkeypatch.setattr(module, 'print_log', lambda message, *_: messages.append(message))
    return messages


def test_stride_that_does_not_fit_the_duration(log):
    check_length('v', 100, time_axis('v', 100, {}, stride=1.0, duration=103.0))
    check_length('v', 100, time_axis('v', 100, {}, duration=3000.0))
    assert not log
    check_length('v', 100, time_axis('v', 100, {}, stride=1.0, duration=3000.0))
    assert 'the features cover 0.0 to 100.0 s of 3000.0 s. Check feature_stride (seconds' in log[0]


def test_long_videos_without_windows_get_a_warning(bmn, actionformer, log):
    model = model_of(bmn)
    localize(model, np.zeros((CHANNELS, 160)), name='v_8')
    assert not log
    localize(model, np.zeros((CHANNELS, 6000)), name='v_6')
    assert log[0].startswith(
        'v_6: 6000 snippets are resized to 20 cells of 150.0 s, and shorter actions'
    )
    assert '--cfg-options model.windows.stride=10 ' in log[0]
    localize(load_localizer(*actionformer), np.zeros((CHANNELS, 20_001)))
    assert (
        'all 20001 snippets are predicted at once' in log[1]
        and 'model.windows.length=4096' in log[1]
    )
    resized = MODELS.build(dict(TINY_ACTIONFORMER, temporal_dim=16)).eval()
    localize(resized, np.zeros((CHANNELS, 200)), feature_stride=1.0)
    assert 'with --cfg-options model.temporal_dim=None model.windows.length=4096' in log[2]


@pytest.mark.parametrize(
    ('features', 'message'),
    [
        (np.zeros((3, 30)), r"'the video' are \(3, 30\), the localizer expects \(16, T\)$"),
        (
            np.zeros((30, CHANNELS)),
            r'are \(30, 16\), the localizer expects \(16, T\): pass features.T',
        ),
        (np.zeros((CHANNELS, 0)), r'expected \(C, T\) with at least one snippet, got \(16, 0\)'),
        (np.zeros(CHANNELS), r'expected \(C, T\) with at least one snippet, got \(16,\)'),
        (
            np.where(np.arange(30) == 7, np.nan, np.zeros((CHANNELS, 30))),
            'NaN or Inf in 1 of 30 .* snippet 7',
        ),
        ('nowhere.npy', 'nowhere.npy does not exist'),
        (__file__, 'test_localize.py: expected a file ID with features'),
    ],
)
def test_bad_features(bmn, features, message):
    with pytest.raises(FeatureError, match=message):
        localize(model_of(bmn), features)


def test_one_snippet_is_enough(bmn, actionformer):
    for model in (model_of(bmn), load_localizer(*actionformer)):
        for detection in localize(model, np.ones((CHANNELS, 1))):
            assert 0 <= detection['segment'][0] <= detection['segment'][1] <= STRIDE


def test_slices_only():
    features = LazyFeatures((2, 5), lambda start, stop: np.zeros((2, stop - start)))
    assert features[:, 1:3].shape == (2, 2) and features[:, :].shape == (2, 5)
    for index in ((slice(None), slice(0, 4, 2)), (slice(0, 1), slice(0, 4))):
        with pytest.raises(IndexError, match='sliced as'):
            features[index]


def test_bad_models(bmn, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'):
        load_localizer(bmn / 'config.py', tmp_path / 'nowhere.pth')
    (tmp_path / 'empty.py').write_text('work_dir = "x"\n')
    with pytest.raises(
        ValueError, match='expected the config of a localizer, got one without a model'
    ):
        load_localizer(tmp_path / 'empty.py', bmn / 'work/epoch_2.pth')
    with pytest.raises(ValueError, match='does not fit the model of the config: neck'):
        load_localizer(config(bmn / 'data', tmp_path, TINY_BMN), bmn / 'work/epoch_2.pth')


@pytest.mark.parametrize('model', [TINY_TEM, TINY_TCANET])
def test_localizers_that_are_a_stage_of_others(model):
    with pytest.raises(ValueError, match=f'{model["type"]} does not propose segments by itself'):
        localize(MODELS.build(model).eval(), np.zeros((CHANNELS, 20)), feature_stride=1.0)
