"""Cost table: parameters and MACs against hand computation, memory, time, bad input."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
from mmaction.registry import MODELS
from torch import nn

from sola_plugin.heads import BMN
from sola_plugin.necks import SoLa
from sola_plugin.pretraining.tasks import Pretext, SimilarityMatcher
from sola_plugin.studies import complexity
from sola_plugin.studies.complexity import (
    Complexity,
    complexity_table,
    measure_complexity,
    read_model,
)
from sola_plugin.visualization import to_markdown
from tests.conftest import CHANNELS, ROOT, TINY_BMN, TINY_MATCHER

CONFIGS = ROOT / 'configs'
NECK = dict(type='SoLa', hidden_channels=4)


def sola_parameters(channels: int, hidden: int, k1: int, k2: int) -> int:
    """Three convolutions with biases, and alpha."""
    weights = channels * hidden * k1 + hidden * hidden * k2 + hidden * channels
    return weights + hidden + hidden + channels + 1


def sola_macs(channels: int, hidden: int, k1: int, k2: int, snippets: int) -> int:
    return snippets * (channels * hidden * k1 + hidden * hidden * k2 + hidden * channels)


def bmn_parameters(
    channels: int, samples: int, width: int = 256, width_3d: int = 512, width_2d: int = 128
) -> int:
    """BMN as published (https://arxiv.org/abs/1907.09702, table 1), with mmaction2's groups."""

    def conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> int:
        return inputs // groups * outputs * kernel + outputs

    base = conv(channels, width, 3, 4) + conv(width, width, 3, 4)
    boundary = conv(width, width, 3, 4) + conv(width, 1, 1)
    proposals = conv(width, width, 3) + conv(width, width_3d, samples) + conv(width_3d, width_2d, 1)
    return base + 2 * boundary + proposals + 2 * conv(width_2d, width_2d, 9) + conv(width_2d, 2, 1)


class Linear(Pretext):
    """A neck that is one linear map of every snippet, and a head of another."""

    def __init__(self, channels: int, window: int = 4) -> None:
        neck = nn.Conv1d(channels, channels, 1, bias=False)
        neck.in_channels = channels
        super().__init__(neck, window)
        self.head = nn.Linear(channels, 3)

    def loss(self, inputs, *labels):
        return dict(loss=self.head(self.neck(inputs).mean(dim=2)).square().mean())


def matcher(channels: int = 6) -> SimilarityMatcher:
    return SimilarityMatcher(
        SoLa(channels, hidden_channels=4, kernel_sizes=(5, 3)), predictor_channels=5
    )


def localizer(**options) -> BMN:
    return MODELS.build(dict(TINY_BMN, **options))


def test_sola_counts_what_stays():
    cost = measure_complexity(matcher(), batch_size=3, snippets=50, steps=1)
    neck = sola_parameters(6, 4, 5, 3)
    assert cost.parameters == cost.neck_parameters == neck
    assert cost.trained_parameters == neck + (6 * 5 + 5) + (5 * 6 + 6)  # the predictor
    assert cost.macs == sola_macs(6, 4, 5, 3, 50)  # of the neck alone
    assert cost.batch_size == 3 and cost.step_seconds > 0


@pytest.mark.slow
def test_memory_of_a_step():
    """Gradients, AdamW's two moments and the output of the neck, in float32; convolutions may copy
    it."""
    channels, window = 64, 256
    for batch_size in (2, 32):
        cost = measure_complexity(Linear(channels, window), batch_size, steps=1)
        output = 4 * batch_size * channels * window
        assert output <= cost.step_bytes - 3 * 4 * cost.trained_parameters <= 4 * output
        assert cost.macs == 100 * channels * channels
        again = measure_complexity(Linear(channels, window), batch_size, steps=1)
        assert again.step_bytes == cost.step_bytes


def test_memory_is_missing_without_the_profiler(monkeypatch):
    monkeypatch.setattr(complexity, 'kineto_available', lambda: False)
    cost = measure_complexity(matcher(), batch_size=3, steps=1)
    assert cost.step_bytes is None
    assert complexity_table({'a': cost}, 100).rows[0][-1] == '–'


@pytest.fixture(scope='module')
def raw() -> Complexity:
    """Of a localizer without a neck."""
    return measure_complexity(localizer(), batch_size=2, snippets=30, steps=1)


def test_localizer_with_and_without_a_neck_differ_by_the_neck(raw):
    cost = measure_complexity(localizer(neck=NECK), batch_size=2, snippets=30, steps=1)
    own = sola_parameters(CHANNELS, 4, 5, 1)
    assert (raw.neck_parameters, cost.neck_parameters) == (0, own)
    assert (
        cost.parameters - raw.parameters == cost.trained_parameters - raw.trained_parameters == own
    )
    assert cost.macs - raw.macs == sola_macs(CHANNELS, 4, 5, 1, 30)


@pytest.mark.slow
def test_what_is_trained_and_what_stays(raw):
    frozen = measure_complexity(
        localizer(neck=dict(NECK, frozen=True)), batch_size=2, snippets=30, steps=1
    )
    joint = measure_complexity(
        localizer(neck=NECK, similarity_matching=TINY_MATCHER), batch_size=2, snippets=30, steps=1
    )
    assert frozen.parameters == joint.parameters == raw.parameters + frozen.neck_parameters
    assert frozen.macs == joint.macs
    assert frozen.trained_parameters == raw.trained_parameters
    predictor = (CHANNELS * 8 + 8) + (8 * CHANNELS + CHANNELS)
    assert joint.trained_parameters == joint.parameters + predictor


def test_neck_without_weights_costs_nothing(raw):
    cost = measure_complexity(
        localizer(neck=dict(type='TemporalSmoothing')), batch_size=2, snippets=30, steps=1
    )
    assert (cost.parameters, cost.neck_parameters, cost.macs) == (raw.parameters, 0, raw.macs)


@pytest.mark.parametrize(('name', 'channels'), [('activitynet', 400), ('hacs', 2048)])
def test_published_bmn(name, channels):
    model, batch_size = read_model(CONFIGS / f'localization/bmn_{name}.py')
    assert sum(p.numel() for p in model.parameters()) == bmn_parameters(channels, samples=32)
    assert batch_size == 16


@pytest.mark.slow
def test_pretext_tasks_on_equal_terms():
    """Equal in everything but the task; every neck sees sequences of 23 snippets."""
    names = ('sola', 'boundary', 'pseudo', 'temporally')
    models = {name: read_model(CONFIGS / f'pretrain/{name}_watch.py') for name in names}
    costs = {
        name: measure_complexity(model, batch_size, steps=1)
        for name, (model, batch_size) in models.items()
    }
    assert {cost.batch_size for cost in costs.values()} == {32}
    assert {cost.parameters for cost in costs.values()} == {sola_parameters(128, 64, 5, 1)}
    assert {cost.macs for cost in costs.values()} == {sola_macs(128, 64, 5, 1, 100)}
    trained = {name: cost.trained_parameters - cost.parameters for name, cost in costs.items()}
    assert trained == dict(
        sola=128 * 128 * 2 + 256,
        boundary=128 * 128 + 128 + 128 * 4 + 4,
        pseudo=128 * 128 * 2 + 256,
        temporally=128 * 2 + 2 + 256 * 2 + 2,
    )


@pytest.mark.parametrize(
    'head',
    [
        'bmn_watch',
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ('gtad_watch', 'actionformer_watch', 'bmn_thumos14')
        ),
    ],
)
def test_every_head_can_be_measured(head):
    model, _ = read_model(CONFIGS / f'localization/{head}_sola.py')
    cost = measure_complexity(model, batch_size=1, steps=1)
    assert 0 < cost.neck_parameters < cost.parameters and cost.macs > 0 and cost.step_bytes > 0


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('x = 1', r'expected model=dict\(type=\.\.\.\)'),
        ("model = dict(neck=dict(type='SoLa'))", r'expected model=dict\(type=\.\.\.\)'),
        (
            "model = dict(type='SoLo')",
            'the model cannot be built: SoLo is not in the mmaction::model registry',
        ),
        (
            "model = dict(type='SimilarityMatcher')",
            "the model cannot be built: .*missing 1 required .*'neck'",
        ),
        (
            "model = dict(type='SimilarityMatcher', neck=dict(type='SoLa'))",
            'cannot be built: SoLa needs in_',
        ),
        (
            "model = dict(type='SoLa', in_channels=4)",
            'SoLa is neither a pretext task nor a localizer',
        ),
    ],
)
def test_bad_config(tmp_path, text, message):
    (tmp_path / 'bad.py').write_text(text)
    with pytest.raises(ValueError, match=f'bad.py: .*{message}'):
        read_model(tmp_path / 'bad.py')


def test_bad_numbers():
    with pytest.raises(
        ValueError, match='at least 1 of each, got batch_size=3, snippets=100, steps=0'
    ):
        measure_complexity(matcher(), 3, steps=0)
    model, _ = read_model(CONFIGS / 'pretrain/pseudo_watch.py')
    with pytest.raises(ValueError, match='batches of at least 3 windows, got 2'):
        measure_complexity(model, 2)


def test_table():
    cost = Complexity(1_234_567, 89, 1_000, 5_324_800, 32, 0.01234, 2_500_000)
    table = complexity_table({'sola_watch': cost}, 100)
    assert table.rows == (('sola_watch', '1,234,567', '89', '1,000', '5.3', '32', '12.3', '2.5'),)
    lines = to_markdown(table).splitlines()
    assert lines[0].startswith('| config | parameters |') and 'MMAC, 100 snippets' in lines[0]
    assert lines[2] == '| sola_watch | 1,234,567 | 89 | 1,000 | 5.3 | 32 | 12.3 | 2.5 |'


@pytest.fixture
def tool(monkeypatch):
    """The tool as a function of its arguments, in this process."""

    def call(*arguments: object) -> None:
        monkeypatch.setattr(sys, 'argv', ['complexity.py', *map(str, arguments)])
        runpy.run_path(str(ROOT / 'tools/complexity.py'), run_name='__main__')

    return call


@pytest.mark.slow
def test_tool(tool, tmp_path, capsys):
    """Two files of one name are told apart."""
    copy = Path(shutil.copytree(CONFIGS, tmp_path / 'configs')) / 'pretrain/sola_watch.py'
    page = tmp_path / 'page.md'
    tool(CONFIGS / 'pretrain/sola_watch.py', copy, '--steps', 1, '--document', page)
    lines = page.read_text().splitlines()
    assert lines[:2] == ['<!-- begin complexity -->', '## Costs']
    assert f'{copy} --steps 1' in lines[3]
    rows = [line.split(' | ') for line in lines if line.startswith('| /')]
    assert [row[0] for row in rows] == [f'| {CONFIGS}/pretrain/sola_watch.py', f'| {copy}']
    assert '53,505' in capsys.readouterr().out
    assert rows[0][1:6] == ['53,505', '53,505', '86,529', '5.3', '32']
    tool(copy, '--steps', 1, '--batch-size', 4, '--snippets', 50)
    assert capsys.readouterr().out.splitlines()[2].split()[:6] == [
        'sola_watch',
        '53,505',
        '53,505',
        '86,529',
        '2.7',
        '4',
    ]


@pytest.mark.parametrize(
    ('arguments', 'start', 'message'),
    [
        (['nowhere.py'], 'error: ', "No such file or directory: 'nowhere.py'"),
        (['bad.py'], 'error: bad.py: ', 'expected model=dict'),
        (['unknown.py'], 'error: unknown.py: ', 'SoLo is not in the mmaction::model registry'),
        (
            [str(CONFIGS / 'pretrain/boundary_watch.py'), '--batch-size', '1'],
            'error: ',
            'at least 2 windows',
        ),
        (
            [str(CONFIGS / 'pretrain/sola_watch.py'), '--device', 'cuda'],
            'error: ',
            'PyTorch finds no GPU',
        ),
    ],
)
def test_tool_tells_bad_input(tool, tmp_path, monkeypatch, arguments, start, message):
    monkeypatch.chdir(tmp_path)
    Path('bad.py').write_text('x = 1')
    Path('unknown.py').write_text("model = dict(type='SoLo')")
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as exit_:
        tool(*arguments)
    assert str(exit_.value).startswith(start) and message in str(exit_.value)


@pytest.mark.parametrize('option', ['--snippets', '--batch-size', '--steps', '--threads'])
def test_tool_usage(tool, capsys, option):
    with pytest.raises(SystemExit) as exit_:
        tool('a.py', option, 0)
    assert exit_.value.code == 2 and 'expect at least 1' in capsys.readouterr().err


def test_a_gpu_is_waited_for_before_and_after_each_timed_step(monkeypatch):
    """Without one: only the order of the calls is looked at."""
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda device: calls.append('wait'))
    complexity._median_seconds(lambda: calls.append('step'), 2, torch.device('cuda'))
    assert calls == ['wait', 'step', 'wait', 'step', 'wait']
    calls.clear()
    complexity._median_seconds(lambda: calls.append('step'), 2, torch.device('cpu'))
    assert calls == ['step', 'step']
