"""The record of a neck: captured from its constructor, stored, rebuilt and compared."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.runner.checkpoint import get_state_dict, load_checkpoint
from torch import nn

from sola_plugin.commands.testing import check_fits
from sola_plugin.necks import (
    Neck,
    SoLa,
    Standardization,
    TemporalSmoothing,
    build_sola,
    load_sola_weights,
    read_sola,
    save_sola,
)
from tests.conftest import CHANNELS, TINY_BMN, TINY_MATCHER


@MODELS.register_module()
class Shift(Neck):
    """A neck of a user: the only place that knows ``by`` is its constructor."""

    def __init__(
        self, in_channels: int = 6, by: int = 1, frozen: bool = False, init_cfg: dict | None = None
    ) -> None:
        super().__init__(in_channels, init_cfg)
        self.scale = nn.Parameter(torch.ones(in_channels, 1))
        self.offset = by
        if frozen:
            self.freeze()

    def forward(self, x, mask=None):
        return self.scale * x.roll(self.offset, 2)


@MODELS.register_module()
class NamedSoLa(SoLa):
    """It hands on what it does not know itself."""

    def __init__(self, name: str = 'x', **kwargs) -> None:
        super().__init__(**kwargs)


class Unregistered(Shift):
    """Nobody may build it from a file."""


NECKS = {
    'SoLa': lambda **o: SoLa(**{'in_channels': 6, 'hidden_channels': 4, 'dilations': (3, 1), **o}),
    'standardized': lambda **o: SoLa(6, 4, standardize=True, **o),
    'Standardization': lambda: Standardization(6),
    'TemporalSmoothing': lambda: TemporalSmoothing(kernel_size=5),
    'Shift': lambda **o: Shift(**{'by': 2, **o}),
    'NamedSoLa': lambda **o: NamedSoLa('y', in_channels=6, hidden_channels=4, **o),
}


def saved(path: Path, neck: Neck, **meta) -> Path:
    save_sola(path, neck, meta)
    return path


class TestRecord:
    """What is captured."""

    def test_settings_are_the_arguments(self):
        assert SoLa(6, hidden_channels=4, dilations=[3, 1], frozen=True).settings == dict(
            type='SoLa',
            in_channels=6,
            hidden_channels=4,
            kernel_sizes=(5, 1),
            dilations=(3, 1),
            standardize=False,
        )
        assert Shift(by=3).settings == dict(type='Shift', in_channels=6, by=3)
        assert (
            NECKS['NamedSoLa']().settings.items()
            >= dict(type='NamedSoLa', name='y', hidden_channels=4, kernel_sizes=(5, 1)).items()
        )

    @pytest.mark.parametrize('name', NECKS)
    def test_copies_and_pickles_keep_it(self, name):
        neck = NECKS[name]()
        for again in (copy.deepcopy(neck), pickle.loads(pickle.dumps(neck))):
            assert again.settings == neck.settings and type(again) is type(neck)

    @pytest.mark.parametrize('value', [object(), torch.zeros(1), [[[[[[[[[[1]]]]]]]]]]])
    def test_what_no_file_could_hold_is_refused(self, value):
        with pytest.raises(ValueError, match='Shift: argument by: expected'):
            Shift(by=value)

    def test_configs_become_plain(self):
        assert type(Shift(by=ConfigDict(a=[1])).settings['by']) is dict

    @pytest.mark.parametrize('name', ['SoLa', 'standardized', 'Shift', 'NamedSoLa'])
    def test_frozen_is_no_part_of_it(self, name):
        frozen = NECKS[name](frozen=True)
        assert frozen.settings == NECKS[name]().settings and frozen.frozen
        assert not any(p.requires_grad for p in frozen.parameters())


class TestFile:
    """``sola.pth`` of any neck."""

    @pytest.mark.parametrize('name', NECKS)
    def test_round_trip(self, tmp_path, name):
        neck, x = NECKS[name](), torch.randn(2, 6, 11)
        neck(x)
        path = saved(tmp_path / 'sola.pth', neck.eval(), note='x')
        again = build_sola(path).eval()
        assert type(again) is type(neck) and again.settings == neck.settings
        assert torch.equal(again(x), neck(x)) and read_sola(path)['meta'] == dict(note='x')

    def test_an_own_argument_is_compared(self, tmp_path):
        path = saved(tmp_path / 'sola.pth', Shift(by=2))
        message = r"sola.pth does not fit the neck \(by=2, now 1\).*neck=dict\(type='Shift', in_"
        with pytest.raises(ValueError, match=message):
            load_sola_weights(Shift(), path)
        with pytest.raises(ValueError, match='by=2, now 1'):
            Shift(init_cfg=dict(type='Pretrained', checkpoint=str(path))).init_weights()
        with pytest.raises(ValueError, match='by=2, now 5'):
            build_sola(path, by=5)
        assert build_sola(path, frozen=True).offset == 2

    def test_dilations_are_compared_by_init_cfg(self, tmp_path):
        path = saved(tmp_path / 'sola.pth', SoLa(6, 4, dilations=(3, 1)))
        init = dict(type='Pretrained', checkpoint=str(path))
        SoLa(6, 4, dilations=(3, 1), init_cfg=init).init_weights()
        with pytest.raises(ValueError, match=r'dilations=\(3, 1\), now \(1, 1\)'):
            SoLa(6, 4, init_cfg=init).init_weights()

    def test_another_class_is_another_neck(self, tmp_path):
        path = saved(tmp_path / 'sola.pth', SoLa(6, 4))
        with pytest.raises(ValueError, match="type='SoLa', now 'NamedSoLa'"):
            load_sola_weights(NECKS['NamedSoLa'](), path)

    def test_an_argument_that_came_later_stands_for_its_default(self, tmp_path):
        """Files of versions before ``standardize``, and before a neck had ``by``."""
        path, record = tmp_path / 'old.pth', dict(type='Shift', in_channels=6)
        torch.save(dict(state_dict=Shift().state_dict(), neck=record, meta={}), path)
        load_sola_weights(Shift(), path)
        with pytest.raises(ValueError, match='by=1, now 2'):
            load_sola_weights(Shift(by=2), path)

    def test_an_argument_that_is_gone_is_not_passed_over(self, tmp_path):
        path = tmp_path / 'newer.pth'
        record = dict(Shift().settings, wrap=False)
        torch.save(dict(state_dict=dict(Shift().state_dict()), neck=record, meta={}), path)
        with pytest.raises(ValueError, match='wrap=False, now .unknown'):
            load_sola_weights(Shift(), path)
        with pytest.raises(ValueError, match='Shift takes no wrap from a file, .* in_channels, by'):
            build_sola(path)

    def test_last_versions_files_load(self, tmp_path):
        """As the ``settings`` of the last version gave them."""
        neck = SoLa(6, 4, (3, 1), (2, 1), standardize=True).eval()
        record = dict(
            type='SoLa',
            in_channels=6,
            hidden_channels=4,
            kernel_sizes=(3, 1),
            dilations=(2, 1),
            standardize=True,
        )
        torch.save(
            dict(state_dict=dict(neck.state_dict()), neck=record, meta={}), tmp_path / 'old.pth'
        )
        again = build_sola(tmp_path / 'old.pth').eval()
        assert again.settings == record and torch.equal(
            *(each(torch.ones(1, 6, 9)) for each in (neck, again))
        )


class TestModel:
    """A neck in the checkpoint of a model, however it is written and loaded."""

    @staticmethod
    def model(**neck):
        config = dict(type='SoLa', hidden_channels=4, dilations=(3, 1), **neck)
        return MODELS.build(dict(TINY_BMN, neck=config))

    @pytest.mark.parametrize('state_of', [nn.Module.state_dict, get_state_dict])
    def test_the_record_is_beside_the_weights(self, tmp_path, state_of):
        model, path = self.model(), tmp_path / 'epoch_1.pth'
        state = state_of(model)
        assert not any('extra' in key or 'record' in key for key in state)
        torch.save(dict(state_dict=state, meta={}), path)
        assert read_sola(path)['neck'] == model.neck.settings
        assert build_sola(path).dilations == (3, 1)
        check_fits(self.model(), path)
        load_checkpoint(self.model(), str(path), map_location='cpu')

        other = MODELS.build(dict(TINY_BMN, neck=dict(type='SoLa', hidden_channels=4)))
        message = r'neck: dilations=\(3, 1\), now \(1, 1\)'
        with pytest.raises(ValueError, match=message):
            check_fits(other, path)
        with pytest.raises(ValueError, match=r'another SoLa: dilations=\(3, 1\), now \(1, 1\)'):
            load_checkpoint(other, str(path), map_location='cpu')
        with pytest.raises(ValueError, match=r'another SoLa: dilations=\(3, 1\), now \(1, 1\)'):
            other.load_state_dict(torch.load(path)['state_dict'])

    def test_checkpoints_of_the_last_version_have_none(self, tmp_path):
        model, path = self.model(), tmp_path / 'epoch_1.pth'
        torch.save(dict(state_dict=dict(model.state_dict()), meta={}), path)
        check_fits(self.model(standardize=False), path)
        assert read_sola(path)['neck'] == {} and build_sola(path).dilations == (1, 1)

    def test_a_neck_within_a_neck_is_one(self, tmp_path):
        model = self.model(standardize=True)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
        assert build_sola(tmp_path / 'a.pth').settings == model.neck.settings

    def test_several_necks(self, tmp_path):
        model = nn.ModuleDict(dict(a=Shift(), b=Shift()))
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
        with pytest.raises(ValueError, match=r"weights of several SoLa necks: \['a.', 'b.'\]"):
            read_sola(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    'content',
    [
        [1, 2],
        torch.zeros(3),
        'text',
        dict(state_dict=[torch.zeros(1)]),
        dict(state_dict=dict(alpha=1.0)),
        dict(state_dict={3: torch.zeros(1)}),
    ],
    ids=['list', 'tensor', 'text', 'list of weights', 'number', 'key'],
)
def test_a_file_without_weights(tmp_path, content):
    torch.save(content, tmp_path / 'other.pth')
    for read in (build_sola, read_sola, lambda path: check_fits(SoLa(6, 4), path)):
        with pytest.raises(ValueError, match=r'other.pth holds a \w+'):
            read(tmp_path / 'other.pth')


@pytest.mark.parametrize('key', ['neck', 'meta'])
def test_a_list_where_a_dict_belongs(tmp_path, key):
    content = {'state_dict': dict(SoLa(6, 4).state_dict()), key: [1]}
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=f"other.pth holds a list under '{key}', expected a dict"):
        read_sola(tmp_path / 'other.pth')


def test_a_record_claims_no_memory_that_the_file_does_not_hold(tmp_path):
    neck = SoLa(6, 4)
    for size in (10**9, 10**30):
        record = dict(neck.settings, hidden_channels=size)
        torch.save(dict(state_dict=dict(neck.state_dict()), neck=record), tmp_path / 'a.pth')
        with pytest.raises(ValueError, match='a.pth.*(does not fit the neck|cannot be built)'):
            build_sola(tmp_path / 'a.pth')


class TestNecksWithoutWeights:
    """What is to be trained must be there."""

    @pytest.mark.parametrize('kind', ['Standardization', 'TemporalSmoothing'])
    def test_joint_training(self, kind):
        message = f'SimilarityMatcher trains the weights of the neck, and {kind} has none: take'
        with pytest.raises(ValueError, match=message):
            MODELS.build(dict(TINY_BMN, neck=dict(type=kind), similarity_matching=TINY_MATCHER))

    def test_a_module_that_does_not_tell_its_channels(self):
        MODELS.register_module('JustAConv', module=nn.Conv1d, force=True)
        config = dict(type='JustAConv', in_channels=CHANNELS, out_channels=4, kernel_size=1)
        conv = MODELS.build(config)
        del conv.in_channels
        with pytest.raises(ValueError, match='needs a neck with in_channels, and Conv1d has none'):
            MODELS.build(dict(type='SimilarityMatcher', neck=conv))

    def test_joint_training_of_a_users_neck(self):
        model = MODELS.build(
            dict(TINY_BMN, neck=dict(type='Shift'), similarity_matching=TINY_MATCHER)
        )
        model._similarity_loss([torch.randn(CHANNELS, 20)]).backward()
        assert model.neck.scale.grad is not None


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('standardize', ['alone', 'before SoLa'])
def test_training_on_a_single_snippet(masked, standardize):
    """A batch of one has no variance: the statistics that there are standardise it, unchanged."""
    neck = Standardization(6) if standardize == 'alone' else SoLa(6, 4, standardize=True)
    norm = neck.norm if standardize == 'alone' else neck.standardization.norm
    neck(5 + 3 * torch.randn(4, 6, 30))
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    x, mask = torch.randn(1, 6, 1), torch.ones(1, 1, dtype=torch.bool) if masked else None
    expected = (x - mean[:, None]) / (variance[:, None] + norm.eps).sqrt()
    torch.testing.assert_close(neck(x, mask), expected)
    assert torch.equal(norm.running_mean, mean) and norm.num_batches_tracked == 1
    padded = torch.cat([x, x], dim=2)
    y = neck(padded, torch.tensor([[True, False]]))
    torch.testing.assert_close(y[..., :1], expected)
    assert (y[..., 1:] == 0).all()


def test_a_first_batch_of_a_single_snippet():
    """There are no statistics yet: the features stay as they are."""
    neck, x = Standardization(6), torch.randn(1, 6, 1)
    torch.testing.assert_close(neck(x), x, rtol=1e-4, atol=1e-4)


def test_building_from_a_file_draws_what_the_constructor_draws(tmp_path):
    """Figures of runs with a seed do not depend on how the file was checked."""
    path = saved(tmp_path / 'sola.pth', SoLa(6, 4))
    states = []
    for make in (lambda: SoLa(6, 4), lambda: build_sola(path)):
        torch.manual_seed(3)
        make()
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
