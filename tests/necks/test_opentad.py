"""SoLa as a projection of OpenTAD, against a stand-in with its registry and calling contract.

OpenTAD is on no registry. What it asks of a projection is written here from its code: one mmengine
``Registry('models')`` in ``opentad.models.builder`` for everything; ``x, masks = projection(x,
masks)`` with ``(N, C, T)`` and bool ``(N, T)``; detectors read ``max_seq_len`` of the projection;
and every parameter's name must end in a way that its optimizer groups know.
"""

from __future__ import annotations

import re
import sys
import textwrap

import pytest
import torch
from mmengine.config import Config
from torch import nn

from sola_plugin.necks import SoLa, save_sola
from tests.conftest import ROOT

CHANNELS = 6
STAND_IN = """
import torch
from mmengine.registry import Registry
from torch import nn

MODELS = Registry('models')


@MODELS.register_module()
class PyramidProj(nn.Module):
    def __init__(self, in_channels, out_channels, levels, max_seq_len=32):
        super().__init__()
        self.max_seq_len = max_seq_len
        self.first = nn.Conv1d(in_channels, out_channels, 3, padding=1)
        self.levels = levels

    def forward(self, x, mask):
        x = self.first(x) * mask[:, None]
        return tuple(x[..., :: 2**i] for i in range(self.levels)), tuple(
            mask[:, :: 2**i] for i in range(self.levels)
        )


@MODELS.register_module()
class Detector(nn.Module):
    def __init__(self, projection):
        super().__init__()
        self.projection = MODELS.build(projection)
        self.max_seq_len = self.projection.max_seq_len
        self.levels = projection.levels

    def forward(self, x, masks):
        missing = self.max_seq_len - x.shape[-1]
        x = nn.functional.pad(x, (0, missing))
        masks = nn.functional.pad(masks, (0, missing))
        return self.projection(x, masks)
"""


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    """Its registry, after ``import opentad.models``, which sola_plugin waits for."""
    root = tmp_path_factory.mktemp('opentad')
    package = root / 'opentad/models'
    package.mkdir(parents=True)
    (root / 'opentad/__init__.py').write_text('')
    (package / '__init__.py').write_text('from .builder import MODELS\n')
    (package / 'builder.py').write_text(textwrap.dedent(STAND_IN))
    sys.path.insert(0, str(root))
    try:
        import opentad.models

        yield opentad.models.MODELS
    finally:
        sys.path.remove(str(root))
        for name in [name for name in sys.modules if name.split('.')[0] == 'opentad']:
            del sys.modules[name]


@pytest.fixture
def sola(tmp_path):
    """A trained neck and its file."""
    torch.manual_seed(0)
    neck = SoLa(CHANNELS, 4)
    nn.init.constant_(neck.alpha, 1.0)
    save_sola(tmp_path / 'sola.pth', neck)
    return neck.eval(), tmp_path / 'sola.pth'


def config(tmp_path, **changes) -> Config:
    """What a user writes over a config of OpenTAD."""
    (tmp_path / 'base.py').write_text(
        "model = dict(type='Detector', projection=dict(type='PyramidProj', in_channels=6, "
        'out_channels=4, levels=2))\n'
    )
    written = dict(type='SoLaProjection', of='PyramidProj', **changes)
    (tmp_path / 'mine.py').write_text(
        "_base_ = ['base.py']\n"
        "custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)\n"
        f'model = dict(projection={written!r})\n'
    )
    return Config.fromfile(tmp_path / 'mine.py')


def optimizer_groups(model: nn.Module) -> tuple[set[str], set[str]]:
    """Names that are decayed and not, as OpenTAD's ActionFormer tells them; others are an error."""
    decayed, others = set(), set()
    for prefix, module in model.named_modules():
        for name, _ in module.named_parameters(prefix=prefix):
            if name.endswith('bias'):
                others.add(name)
            elif name.endswith('weight') and isinstance(module, (nn.Linear, nn.Conv1d)):
                decayed.add(name)
    assert {name for name, _ in model.named_parameters()} <= decayed | others
    return decayed, others


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    masks = torch.arange(20) < torch.tensor([[20], [13]])
    return torch.randn(2, CHANNELS, 20) * masks[:, None], masks


def test_one_line_over_a_config(models, tmp_path, sola):
    neck, path = sola
    model = models.build(config(tmp_path, sola=str(path)).model).train()
    assert model.max_seq_len == 32 and model.levels == 2
    x, masks = batch()
    levels, level_masks = model(x, masks)
    assert [level.shape[-1] for level in levels] == [32, 16]
    projection = model.projection.projection
    for index, length in enumerate((20, 13)):
        behind = neck(x[index : index + 1, :, :length])
        expected = projection.first(behind)
        torch.testing.assert_close(levels[0][index : index + 1, :, :length], expected)
        assert level_masks[0][index].sum() == length


def test_the_lines_of_the_docs(models, tmp_path, sola, monkeypatch):
    """On a base config with the names of OpenTAD's, and the stand-in's projection."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / 'docs/toolkits.md').read_text(encoding='utf-8')
    features, inside = re.findall(r'```python\n(.*?)```', page, re.S)
    base = tmp_path / 'configs/actionformer/thumos_i3d.py'
    base.parent.mkdir(parents=True)
    base.write_text(
        "model = dict(type='Detector', projection=dict(type='PyramidProj', in_channels=6, "
        'out_channels=4, levels=2))\n'
        "data_path = 'raw/'\nblock_list = data_path + 'missing_files.txt'\n"
        'part = dict(data_path=data_path, block_list=block_list)\n'
        'dataset = dict(train=part, val=part, test=part)\n'
    )
    mine = tmp_path / 'configs/sola/mine.py'
    mine.parent.mkdir()
    mine.write_text(features)
    dataset = Config.fromfile(mine).dataset
    assert [dataset[part].data_path for part in ('train', 'val', 'test')] == [
        'data/thumos-14/features/i3d_sola/'
    ] * 3
    assert dataset.train.block_list == 'raw/missing_files.txt'
    models.register_module('Conv1DTransformerProj', force=True, module=models.get('PyramidProj'))
    mine.write_text(inside)
    model = models.build(Config.fromfile(mine).model)
    assert torch.equal(model.projection.sola.alpha, sola[0].alpha)


def test_a_trained_neck_is_no_parameter(models, tmp_path, sola):
    model = models.build(config(tmp_path, sola=str(sola[1])).model)
    assert optimizer_groups(model) == (
        {'projection.projection.first.weight'},
        {'projection.projection.first.bias'},
    )
    keys = set(model.state_dict())
    assert {'projection.sola.alpha', 'projection.sola.conv_network.0.weight'} <= keys
    before = {key: value.clone() for key, value in model.projection.sola.state_dict().items()}
    x, masks = batch()
    model(x, masks)[0][0].sum().backward()
    torch.optim.SGD(model.parameters(), 1.0).step()
    for key, value in model.projection.sola.state_dict().items():
        assert torch.equal(value, before[key])
    other = models.build(config(tmp_path, settings=dict(hidden_channels=4), freeze=True).model)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other(x, masks)[0][0], model(x, masks)[0][0])


@pytest.mark.parametrize('start', ['new', 'trained'])
def test_it_may_learn(models, tmp_path, sola, start):
    options = dict(settings=dict(hidden_channels=4)) if start == 'new' else dict(sola=str(sola[1]))
    model = models.build(config(tmp_path, freeze=False, **options).model)
    decayed, others = optimizer_groups(model)
    assert 'projection.alpha_bias' in others and len(decayed) == 4
    before = model.projection.sola.alpha.item()
    x, masks = batch()
    model(x, masks)[0][0].square().sum().backward()
    torch.optim.SGD(model.parameters(), 0.01).step()
    assert model.projection.sola.alpha.item() != before
    assert model.projection.sola.alpha is model.projection.alpha_bias


def test_alone(models, sola):
    projection = models.build(dict(type='SoLaProjection', sola=sola[1]))
    x, masks = batch()
    y, new_masks = projection(x, masks)
    torch.testing.assert_close(y, sola[0](x, masks))
    assert new_masks is masks
    with pytest.raises(AttributeError, match='max_seq_len'):
        _ = projection.max_seq_len


def test_refused(models, sola):
    common = dict(type='SoLaProjection', sola=sola[1])
    with pytest.raises(ValueError, match='has in_channels=6, the projection 8'):
        models.build(dict(common, of='PyramidProj', in_channels=8))
    with pytest.raises(ValueError, match='are those of a new SoLa'):
        models.build(dict(common, settings=dict(hidden_channels=3)))
