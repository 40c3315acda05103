"""Published checkpoints through tools/convert_checkpoint.py, and the result through the others.

Names and shapes were read in the public code, see tests/published_weights.py; what is computed is
compared in tests/heads/test_published.py.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from sola_plugin.commands import load_localizer
from sola_plugin.commands.published import convert_checkpoint
from sola_plugin.necks import build_sola
from sola_plugin.necks.checkpoint import CheckpointError
from tests import published_weights as published
from tests.commands.localizers import config as runner_config
from tests.conftest import TINY_BMN, make_dataset
from tests.forked_tools import Result, run_tool
from tests.slow import slow_but

#: Processes are forked.
ON_CPU = True

CLASSES = ('jump', 'run')
ACTIONFORMER = dict(
    type='ActionFormer',
    feat_dim=published.FEATURES,
    classes=CLASSES,
    pyramid=dict(channels=8, num_levels=3, num_heads=2, windows=5, num_stem_blocks=1),
    post_processing=dict(min_score=0.0, min_length=-1.0, top_k=20),
)
GTAD = dict(
    type='GTAD',
    temporal_dim=20,
    feat_dim=published.FEATURES,
    hidden_dim_1d=8,
    hidden_dim_2d=4,
    hidden_dim_3d=6,
    num_samples=4,
    num_context_samples=1,
    kernel_size=1,
)

#: What is in the file, the weights in it that are taken, and the model of the config.
KINDS = {
    'actionformer': (
        published.authors_actionformer(),
        dict(ACTIONFORMER, padding=dict(code='authors', length=32)),
    ),
    'actionformer-opentad': (
        published.opentad_actionformer(),
        dict(ACTIONFORMER, norm_eps=1e-6, padding=dict(code='opentad', length=32)),
    ),
    'bmn-opentad': (published.opentad_bmn(), dict(TINY_BMN, hidden_dim_3d=6)),
    'gtad': (published.authors_gtad(), GTAD),
    'gtad-opentad': (published.opentad_gtad(), dict(GTAD, sample_to_end=True)),
}


def saved(path: Path, state: dict, ema: bool) -> Path:
    """As the authors of ActionFormer and OpenTAD save it: with an optimizer, and averages."""
    last = {name: value + 1 for name, value in state.items()} if ema else state
    content = dict(epoch=3, state_dict=published.prefixed(last), optimizer=dict(state={}))
    if ema:
        content['state_dict_ema'] = published.prefixed(state)
    torch.save(content, path)
    return path


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Data, a config and a published file of each kind."""
    folder = tmp_path_factory.mktemp('published')
    make_dataset(folder / 'data')
    for kind, (state, model) in KINDS.items():
        runner_config(folder / 'data', folder / kind, model).dump(folder / f'{kind}.py')
        saved(folder / f'{kind}.pth.tar', state, ema='actionformer' in kind)
    return folder


def convert(folder: Path, kind: str, out: Path, *words: object) -> Result:
    return run_tool('convert_checkpoint', folder / f'{kind}.pth.tar', out, *words)


@pytest.mark.parametrize('kind', slow_but(('actionformer', 'gtad', 'bmn-opentad'), KINDS))
def test_each_kind_is_converted_tested_and_localizes(folder, tmp_path, kind):
    out, config = tmp_path / 'ours.pth', folder / f'{kind}.py'
    result = convert(folder, kind, out, '--config', config)
    assert result.code == 0, result.stderr
    taken = 'state_dict_ema' if 'actionformer' in kind else 'state_dict'
    number = len(KINDS[kind][0])
    assert result.stdout.startswith(f'{out}: {number} weights of ')
    assert result.stdout.splitlines()[0].endswith(f', {taken}')
    model = KINDS[kind][1]
    assert f"model = dict(type='{model['type']}', feat_dim=16, " in result.stdout
    result = run_tool('test', config, out, '--work-dir', tmp_path / 'work')
    assert result.code == 0, result.stderr
    assert (tmp_path / 'work/detections.json').is_file()
    video = folder / 'data/features/v_04.npy'
    result = run_tool('localize', config, out, video, '--out', tmp_path / 'out')
    assert result.code == 0, result.stderr
    assert (tmp_path / 'out/v_04.json').is_file()


def test_averaged_weights_come_first(folder, tmp_path):
    for words, added in (((), 0), (('--weights', 'ema'), 0), (('--weights', 'last'), 1)):
        out = tmp_path / f'{added}{len(words)}.pth'
        assert convert(folder, 'actionformer', out, *words).code == 0
        state = torch.load(out, weights_only=True)['state_dict']
        theirs = KINDS['actionformer'][0]['cls_head.cls_head.conv.weight']
        assert torch.equal(state['classifier.last.weight'], theirs + added)
    result = convert(folder, 'gtad', tmp_path / 'no.pth', '--weights', 'ema')
    assert result.code == 1 and 'has no state_dict_ema: expected' in result.stderr
    assert not (tmp_path / 'no.pth').exists()


def test_weights_alone_and_the_kind_by_name(tmp_path):
    torch.save(published.prefixed(published.authors_gtad()), tmp_path / 'gtad.pth')
    done = convert_checkpoint(tmp_path / 'gtad.pth', tmp_path / 'ours.pth', kind='gtad')
    assert done.model['kernel_size'] == 1 and done.model['groups'] == 32
    assert done.model['hidden_dim_3d'] == 6 and '5' in done.unseen[0]


def test_the_config_must_have_what_the_weights_need(folder, tmp_path):
    """Shapes do not show eps, nor where samples end: the checkpoint knows."""
    for kind, key, words in (
        ('actionformer-opentad', 'norm_eps', '=1e-06; the config has 1e-05'),
        ('gtad-opentad', 'sample_to_end', '=True; the config has False'),
        ('actionformer', 'norm_eps', '=1e-05; the config has 1e-06'),
    ):
        out, other = tmp_path / f'{kind}.pth', kind.partition('-')[0]
        assert convert(folder, kind, out).code == 0
        if other == kind:
            other = f'{kind}-opentad'
        result = run_tool('test', folder / f'{other}.py', out, '--work-dir', tmp_path / 'work')
        (line,) = [x for x in result.stderr.splitlines() if x.startswith('error')]
        assert result.code == 1 and f'need model.{key}{words}' in line
        with pytest.raises(CheckpointError, match=f'model.{key}'):
            load_localizer(folder / f'{other}.py', out)
        refused = convert(folder, kind, tmp_path / 'x.pth', '--config', folder / f'{other}.py')
        assert refused.code == 1 and f'need model.{key}' in refused.stderr
        assert not (tmp_path / 'x.pth').exists()


def test_the_option_can_be_given_on_the_command_line(folder, tmp_path):
    out = tmp_path / 'ours.pth'
    assert convert(folder, 'gtad-opentad', out).code == 0
    words = ['--work-dir', tmp_path / 'work', '--cfg-options', 'model.sample_to_end=True']
    assert run_tool('test', folder / 'gtad.py', out, *words).code == 0


def test_other_classes(folder, tmp_path):
    cfg = Config.fromfile(folder / 'actionformer.py')
    cfg.model.classes = ('jump', 'run', 'swim')
    cfg.dump(tmp_path / 'three.py')
    out = tmp_path / 'ours.pth'
    result = convert(folder, 'actionformer', out, '--config', tmp_path / 'three.py')
    assert result.code == 1 and not out.exists()
    assert 'classifier.last.weight: (2, 8, 3), expected (3, 8, 3)' in result.stderr
    # Names in another order are seen, once they are known.
    assert convert(folder, 'actionformer', out, '--config', folder / 'actionformer.py').code == 0
    cfg.model.classes = ('run', 'jump')
    cfg.dump(tmp_path / 'turned.py')
    with pytest.raises(CheckpointError, match='these in another order'):
        load_localizer(tmp_path / 'turned.py', out)


def without(state: dict, name: str) -> dict:
    return {key: value for key, value in state.items() if key != name}


ACTIONFORMER_STATE, BMN_STATE = KINDS['actionformer'][0], KINDS['bmn-opentad'][0]
OF_OPENTAD = KINDS['actionformer-opentad'][0]
WRONG = {
    'nothing that is known': (
        {'fc.weight': torch.zeros(1)},
        'holds the weights of nothing that is known (fc.weight): expected ActionFormer of its',
    ),
    'a missing weight': (
        without(ACTIONFORMER_STATE, 'backbone.stem.0.attn.key_norm.bias'),
        'backbone.stem.0.attn.key_norm.bias is missing, which ActionFormer of its authors',
    ),
    'a missing level': (
        without(ACTIONFORMER_STATE, 'neck.fpn_norms.1.weight'),
        'weights have no place in ActionFormer',
    ),
    'more weights': (
        {**ACTIONFORMER_STATE, 'backbone.stem.0.attn.rel_pe': torch.zeros(1, 1, 2, 5)},
        "1 weights have no place in ActionFormer of its authors' release: backbone.stem.0.attn.rel",
    ),
    'its own encoder': (
        {**OF_OPENTAD, **{f'backbone.model.{i}': torch.zeros(1) for i in range(9)}},
        '9 weights have no place in ActionFormer of OpenTAD: backbone.model.0, backbone.model.1',
    ),
    'another shape': (
        {**ACTIONFORMER_STATE, 'cls_head.norm.0.bias': torch.zeros(1, 3, 1)},
        'cls_head.norm.0.bias: (3,), expected (8,)',
    ),
    'a scalar': (
        {**ACTIONFORMER_STATE, 'backbone.embd.0.conv.weight': torch.zeros(())},
        'backbone.embd.0.conv.weight is (), expected more than',
    ),
    'an embedding of kernel 5': (
        {**ACTIONFORMER_STATE, 'backbone.embd.1.conv.weight': torch.zeros(8, 8, 5)},
        'backbone.embd.1.conv.weight: (8, 8, 5), expected (8, 8, 3)',
    ),
    'more channels for the map': (
        published.opentad_bmn(c=8, fewer=12),
        'conv3d.0.weight has 12 channels, expected at most the 8',
    ),
    'a boundary head that is shared': (
        {**without(BMN_STATE, 'rpn_head.tem.0.0.conv.weight')},
        'rpn_head.tem.0.0.conv.weight is missing, which BMN of OpenTAD has',
    ),
    "OpenTAD's G-TAD of THUMOS14": (
        published.opentad_gtad(kernel=3),
        'has another network than its authors',
    ),
    "mmaction2's BMN": (
        {'x_1d_b.0.weight': torch.zeros(1)},
        "is mmaction2's BMN: tools/test.py and tools/localize.py take it as it is",
    ),
    'a map without axes': (
        {**BMN_STATE, 'roi_head.proposal_roi_extractor.reduce_dim.0.bias': torch.zeros(())},
        'extractor.reduce_dim.0.bias: () is no shape that it has in BMN of OpenTAD',
    ),
    'a shape without values': (
        {**KINDS['gtad'][0], 'localization.0.weight': torch.zeros(1).expand(6, 8 << 30, 1, 1)},
        'claims the shape (6, 8589934592, 1, 1) and holds fewer values',
    ),
    'an object': (
        {**ACTIONFORMER_STATE, 'loss_normalizer': 100},
        "holds a int as weight 'module.loss_normalizer', expected a tensor",
    ),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_does_not_fit_is_named_and_nothing_written(tmp_path, case):
    state, message = WRONG[case]
    torch.save(dict(state_dict=published.prefixed(state)), tmp_path / 'wrong.pth')
    result = run_tool('convert_checkpoint', tmp_path / 'wrong.pth', tmp_path / 'out.pth')
    (line,) = result.stderr.splitlines()
    assert result.code == 1 and line.startswith('error: ') and str(tmp_path / 'wrong.pth') in line
    assert message in line
    assert os.listdir(tmp_path) == ['wrong.pth']


def test_the_wrong_kind_is_named(folder, tmp_path):
    result = convert(folder, 'gtad', tmp_path / 'out.pth', '--from', 'bmn-opentad')
    assert result.code == 1 and not (tmp_path / 'out.pth').exists()
    assert 'projection.convs.0.conv.weight is missing, which BMN of OpenTAD has' in result.stderr


class Payload:
    def __reduce__(self):
        return os.mkdir, ('ran',)


@pytest.mark.parametrize('kind', ['torn', 'a pickle', 'a program', 'missing', 'text'])
def test_files_that_are_no_checkpoints(folder, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'wrong.pth'
    if kind == 'torn':
        path.write_bytes((folder / 'gtad.pth.tar').read_bytes()[:5000])
    elif kind == 'a pickle':
        path.write_bytes(pickle.dumps(dict(state_dict=Payload())))
    elif kind == 'a program':
        torch.save(dict(state_dict=KINDS['gtad'][0], args=Payload()), path)
    elif kind == 'text':
        path.write_text('weights')
    result = run_tool('convert_checkpoint', path, tmp_path / 'out.pth')
    (line,) = result.stderr.splitlines()
    assert result.code == 1 and line.startswith('error: ') and str(path) in line
    assert not (tmp_path / 'out.pth').exists() and not (tmp_path / 'ran').exists()


def test_a_file_is_not_written_over(folder, tmp_path):
    out = tmp_path / 'ours.pth'
    out.write_text('mine')
    result = convert(folder, 'gtad', out)
    assert result.code == 1 and result.stderr == (
        f'error: {out} is there: choose another name, or --force\n'
    )
    assert out.read_text() == 'mine'
    assert convert(folder, 'gtad', out, '--force').code == 0


def test_sola_of_its_authors(tmp_path, folder):
    state, out = published.authors_sola(), tmp_path / 'sola.pth'
    torch.save(state, tmp_path / 'theirs.pth')
    result = run_tool('convert_checkpoint', tmp_path / 'theirs.pth', out)
    assert result.code == 0, result.stderr
    assert "neck = dict(type='SoLa', in_channels=16, hidden_channels=4" in result.stdout
    ours = build_sola(out).state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in state.items())
    words = ['--config', folder / 'gtad.py', '--force']
    result = run_tool('convert_checkpoint', tmp_path / 'theirs.pth', out, *words)
    assert result.code == 1 and 'a neck: it has no config of a localizer' in result.stderr
    torch.save({**state, 'predictor.0.weight': torch.zeros(1)}, tmp_path / 'theirs.pth')
    result = run_tool('convert_checkpoint', tmp_path / 'theirs.pth', out, '--force')
    assert (
        result.code == 1 and 'no place in SoLa of its authors: predictor.0.weight' in result.stderr
    )
