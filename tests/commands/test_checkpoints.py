"""Checkpoints of others, and wrong ones, through the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.registry import MODELS
from mmengine.config import Config

from sola_plugin.commands import load_localizer
from sola_plugin.commands.testing import check_fits
from sola_plugin.necks.checkpoint import CheckpointError
from tests.conftest import TINY_BMN, localization_config, make_dataset
from tests.forked_tools import run_tool

#: Processes are forked.
ON_CPU = True

STOCK = StockBMN(**{key: value for key, value in TINY_BMN.items() if key != 'type'}).state_dict()


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Data, and the config of a BMN without a neck."""
    folder = tmp_path_factory.mktemp('checkpoints')
    root = make_dataset(folder / 'data')
    Config(localization_config(root, folder / 'work')).dump(folder / 'config.py')
    return folder


def prefixed(state: dict) -> dict:
    return {f'module.{key}': value for key, value in state.items()}


@pytest.mark.parametrize(
    'content',
    [dict(state_dict=STOCK, meta={}), prefixed(STOCK), dict(model=STOCK)],
    ids=['mmaction2', 'weights alone, module.', 'under model'],
)
def test_published_shapes_of_bmn(folder, tmp_path, content):
    path, work = tmp_path / 'bmn.pth', tmp_path / 'work'
    torch.save(content, path)
    config = folder / 'config.py'
    result = run_tool('test', config, path, '--work-dir', work)
    assert result.code == 0, result.stderr
    assert (work / 'detections.json').is_file()
    video = folder / 'data/features/v_04.npy'
    result = run_tool('localize', config, path, video, '--out', tmp_path / 'out')
    assert result.code == 0, result.stderr
    assert (tmp_path / 'out/v_04.json').is_file()


@pytest.mark.parametrize('key', ['state_dict', 'model'])
def test_the_weights_are_those_of_the_file(folder, tmp_path, key):
    torch.save({key: prefixed(STOCK)}, tmp_path / 'bmn.pth')
    loaded = load_localizer(folder / 'config.py', tmp_path / 'bmn.pth').state_dict()
    assert all(torch.equal(value, STOCK[name]) for name, value in loaded.items())
    model = MODELS.build(TINY_BMN)
    check_fits(model, tmp_path / 'bmn.pth')
    check_fits(MODELS.build({**TINY_BMN, 'max_duration': 6}), tmp_path / 'bmn.pth')
    assert all(torch.equal(value, STOCK[key]) for key, value in model.state_dict().items())


WRONG = {
    'of another model': (dict(state_dict={'x': torch.zeros(1)}), 'x_1d_b.0.weight: missing'),
    'of another size': (
        dict(state_dict={**STOCK, 'x_1d_b.0.bias': torch.zeros(3)}),
        'x_1d_b.0.bias: (3), expected (8)',
    ),
    'with more': (
        dict(state_dict={**STOCK, 'neck.alpha': torch.zeros(1)}),
        'neck.alpha: not expec',
    ),
    'torn': (None, 'Is it complete?'),
}


@pytest.mark.parametrize('content', WRONG)
@pytest.mark.parametrize('tool', ['test', 'localize'])
def test_a_wrong_checkpoint_ends_in_one_line(folder, tmp_path, tool, content):
    path, (content, message) = tmp_path / 'wrong.pth', WRONG[content]
    torch.save(content or STOCK, path)
    if content is None:
        path.write_bytes(path.read_bytes()[:100])
    inputs = {
        'test': ['--work-dir', tmp_path / 'work'],
        'localize': [folder / 'data/features/v_04.npy', '--out', tmp_path / 'out'],
    }
    result = run_tool(tool, folder / 'config.py', path, *inputs[tool])
    lines = result.stderr.splitlines()
    assert result.code == 1 and 'Traceback' not in result.stderr
    assert lines[-1].startswith('error: ') and str(path) in lines[-1] and message in lines[-1]


@pytest.mark.parametrize('torn', [True, False], ids=['torn', 'missing'])
def test_resuming_a_wrong_checkpoint_ends_in_one_line(folder, tmp_path, torn):
    path = tmp_path / 'wrong.pth'
    if torn:
        path.write_bytes(b'torn')
    result = run_tool('train', folder / 'config.py', '--work-dir', tmp_path, '--resume', path)
    (line,) = result.stderr.splitlines()
    assert result.code == 1 and line.startswith('error: ') and str(path) in line


def test_dump_expects_a_pickle(folder):
    result = run_tool('test', folder / 'config.py', 'x.pth', '--dump', 'raw.json')
    assert result.code == 2 and '--dump expects a .pkl file, got raw.json' in result.stderr


def test_part_of_a_published_model(tmp_path):
    """A backbone may come with a head, but has its own running statistics."""
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(3))
    state = {**model.state_dict(), 'head': torch.zeros(1)}
    del state['0.num_batches_tracked']
    torch.save(state, tmp_path / 'more.pth')
    check_fits(model, tmp_path / 'more.pth', part_of=True)
    del state['0.running_mean']
    torch.save(state, tmp_path / 'less.pth')
    with pytest.raises(CheckpointError, match=r'0\.running_mean: missing\. Take'):
        check_fits(model, tmp_path / 'less.pth', part_of=True)
