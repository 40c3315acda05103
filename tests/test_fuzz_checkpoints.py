"""Random checkpoints: loaded, or refused with one line; nothing is run, nothing odd is kept."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import strategies as st
from mmengine.config import Config

from sola_plugin.commands import load_localizer
from sola_plugin.commands.published import convert_checkpoint
from sola_plugin.evaluation.classifiers import StoredClassifier
from sola_plugin.evaluation.score_files import ScoreFile
from sola_plugin.necks import SoLa, build_sola, read_sola, save_sola
from sola_plugin.pretraining.checkpoint_files import newest_checkpoint
from tests.commands.localizers import save_random
from tests.conftest import CHANNELS, localization_config
from tests.fuzzing import (
    EXAMPLES,
    as_json,
    changed_bytes,
    changed_json,
    search,
    texts,
    values,
)

pytestmark = pytest.mark.parametrize('examples', EXAMPLES)


def one_line(error: Exception, name: str) -> None:
    assert name in str(error), error
    assert '\n' not in str(error).strip()[:150]


@pytest.fixture
def neck_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / 'sola.pth'
    save_sola(path, SoLa(CHANNELS, 4), dict(pretext=dict(type='SimilarityMatcher', k=16.0)))
    return path


@pytest.mark.parametrize('old', [False, True], ids=['archive', 'old pickle'])
def test_bytes_of_a_neck(neck_file, examples, old):
    if old:
        torch.save(torch.load(neck_file), neck_file, _use_new_zipfile_serialization=False)

    def check(data):
        neck_file.write_bytes(data)
        try:
            neck = build_sola(neck_file)
        except ValueError as error:
            one_line(error, 'sola.pth')
        else:
            assert isinstance(neck, SoLa) and neck.in_channels == CHANNELS

    search(changed_bytes(neck_file.read_bytes()), check, 2 * examples)


#: What stands in place of a tensor or of a setting.
OTHERS = st.one_of(
    values,
    st.sampled_from(
        [
            torch.zeros(0),
            torch.zeros(3, 1, 1),
            torch.zeros(1).expand(10**9),
            torch.full((4, CHANNELS, 5), float('nan')),
            torch.zeros((), dtype=torch.int64),
        ]
    ),
)


@st.composite
def changed_checkpoint(draw, content):
    """A dict of dicts of tensors with some exchanged, taken out or put in."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from([content, *filter(bool, map(dict_of, content.values()))]))
        if not isinstance(holder, dict) or not holder:
            continue
        key = draw(st.sampled_from(sorted(holder, key=str)))
        kind = draw(st.sampled_from(('replace', 'remove', 'add')))
        if kind == 'remove':
            del holder[key]
        else:
            holder[key if kind == 'replace' else draw(texts)] = draw(OTHERS)
    return content


def dict_of(value):
    return value if isinstance(value, dict) else None


def test_contents_of_a_neck(neck_file, examples):
    content = dict(torch.load(neck_file))
    content['state_dict'] = dict(content['state_dict'])

    def check(changed):
        torch.save(changed, neck_file)
        for load in (build_sola, read_sola):
            try:
                loaded = load(neck_file)
            except ValueError as error:
                one_line(error, 'sola.pth')
            else:
                assert loaded is not None

    search(changed_checkpoint(content), check, 4 * examples)


def test_a_localizer(tmp_path, examples):
    cfg = Config(localization_config(tmp_path, tmp_path / 'work'))
    path = save_random(cfg, tmp_path / 'epoch_1.pth')
    content = dict(torch.load(path))
    content['state_dict'] = dict(content['state_dict'])
    content.setdefault('meta', dict(dataset_meta=dict(classes=['jump', 'run'])))

    def check(changed):
        torch.save(changed, path)
        try:
            load_localizer(cfg, path)
        except ValueError as error:
            one_line(error, 'epoch_1.pth')

    search(changed_checkpoint(content), check, examples)


def test_a_torn_one_is_not_resumed(tmp_path, examples):
    """The one before it is, or what is left of the newest is whole."""
    torch.save(dict(state_dict=dict(a=torch.zeros(3)), meta=dict(seed=1)), tmp_path / 'epoch_1.pth')
    torch.save(dict(state_dict=dict(a=torch.ones(3)), meta=dict(seed=1)), tmp_path / 'epoch_2.pth')
    path = tmp_path / 'epoch_2.pth'

    def check(data):
        path.write_bytes(data)
        found = newest_checkpoint(tmp_path)
        assert found is not None and found.name in ('epoch_1.pth', 'epoch_2.pth')
        torch.load(found)

    search(changed_bytes(path.read_bytes()), check, 2 * examples)


def test_published_weights(tmp_path, examples):
    """``tools/convert_checkpoint.py`` on what is no published checkpoint, or nearly one."""
    path, out = tmp_path / 'theirs.pth', tmp_path / 'ours.pth'
    content = dict(
        state_dict={
            'module.conv_network.0.weight': torch.zeros(4, CHANNELS, 5),
            'module.conv_network.0.bias': torch.zeros(4),
            'module.conv_network.2.weight': torch.zeros(CHANNELS, 4, 1),
            'module.conv_network.2.bias': torch.zeros(CHANNELS),
            'module.alpha': torch.zeros(1),
        }
    )

    def check(changed):
        torch.save(changed, path)
        out.unlink(missing_ok=True)
        try:
            convert_checkpoint(path, out)
        except ValueError as error:
            one_line(error, 'theirs.pth')
            assert not out.exists()
        assert {each.name for each in tmp_path.iterdir()} <= {'theirs.pth', 'ours.pth'}

    search(changed_checkpoint(content), check, 2 * examples)


def test_class_scores(tmp_path, examples):
    path = tmp_path / 'scores.json'

    def check(content):
        path.write_bytes(as_json(content))
        try:
            scores = ScoreFile(path)
            scores.check_videos(['v_1'])
            scores.classify('v_1', proposals=[dict(segment=[0.0, 1.0], score=0.5)])
        except ValueError as error:
            one_line(error, 'scores.json')

    for content in (
        {'v_1': {'run': 0.5, 'jump': 0.25}},
        {'results': {'v_1': [0.5, 0.25]}, 'class': ['run', 'jump']},
        {'results': {'v_1': [{'label': 'run', 'score': 0.5}]}},
    ):
        search(changed_json(content), check, 2 * examples)


def test_classifiers(tmp_path, examples):
    path = tmp_path / 'classifier.npz'

    def check(data):
        path.write_bytes(data)
        try:
            StoredClassifier(path)
        except ValueError as error:
            one_line(error, 'classifier.npz')

    search(st.one_of(st.binary(max_size=60), st.just(pickle.dumps([1]))), check, examples)
