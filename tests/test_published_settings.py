"""The public configs are what docs/heads.md says of them: as published, but for what is listed."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmaction.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from sola_plugin.heads.actionformer.pyramid import TransformerPyramid
from sola_plugin.heads.gtad.losses import GTADLoss
from sola_plugin.heads.shared.detections import DetectionSettings
from sola_plugin.heads.shared.map_postprocessing import MapPostProcessing
from sola_plugin.heads.shared.sliding_windows import SlidingWindows
from tests.conftest import ROOT, TINY_BMN

CONFIGS = ROOT / 'configs/localization'
PUBLIC = sorted(
    path.stem
    for data in ('activitynet', 'thumos14', 'hacs')
    for path in CONFIGS.glob(f'*_{data}.py')
)


def tables(page: str) -> Iterator[list[list[str]]]:
    """Rows of cells of every table of a page, without the line of dashes."""
    for block in re.findall(r'(?:^\|.*\|\n)+', page, re.M):
        rows = [re.split(r'(?<!\\)\|', line)[1:-1] for line in block.splitlines()]
        yield [[cell.strip() for cell in row] for row in rows if not set(row[0]) <= {'-'}]


PAGE = (ROOT / 'docs/heads.md').read_text(encoding='utf-8')


def published() -> dict[str, dict[str, tuple[str, str]]]:
    """``{config: {setting: (key, value)}}`` as in the tables of the page."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for header, *rows in tables(PAGE):
        if header[1] == 'key' and header[2].strip('`') in PUBLIC:
            for column, name in enumerate(header[2:], 2):
                found[name.strip('`')] = {row[0]: (row[1].strip('`'), row[column]) for row in rows}
    return found


def deviations() -> dict[str, dict[str, list[str]]]:
    """``{config: {deviation: [published, ours, because]}}``."""
    (rows,) = (rows for header, *rows in tables(PAGE) if header[:2] == ['config', 'deviation'])
    found: dict[str, dict[str, list[str]]] = {name: {} for name in PUBLIC}
    for name, deviation, *rest in rows:
        found[name.strip('`')][deviation] = rest
    return found


PUBLISHED, DEVIATIONS = published(), deviations()
#: Deviations of a value that a table has, under the names of the tables.
SETTINGS = {'ends of cut actions': 'cut boundaries reach out of it'}


def value_of(cfg: Config, key: str):
    """What a config has under a dotted key, or by default; ``None`` where there is nothing."""
    *folder, name = key.split('.')
    found = cfg
    for part in folder:
        found = found[int(part)] if isinstance(found, (list, tuple)) else (found or {}).get(part)
    if found is not None and name in found:
        return plain(found[name])
    owner = owner_of(cfg, '.'.join(folder), found)
    default = owner and inspect.signature(owner).parameters[name].default
    return plain(default)


def owner_of(cfg: Config, folder: str, found):
    """The class whose arguments a dotted key holds, where the package has one."""
    kind = cfg.model.type
    parts = {
        'model': MODELS.get(kind),
        'model.post_processing': DetectionSettings if kind == 'ActionFormer' else MapPostProcessing,
        'model.pyramid': TransformerPyramid,
        'model.loss_cls': GTADLoss,
        'model.windows': SlidingWindows,
    }
    return TRANSFORMS.get(found['type']) if '.pipeline.' in folder else parts.get(folder)


def plain(value):
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def literal(cell: str):
    return None if cell == 'none' else plain(ast.literal_eval(cell))


def header(name: str) -> str:
    """The comment at the top of a config, in one line."""
    lines = (CONFIGS / f'{name}.py').read_text(encoding='utf-8').splitlines()
    end = next(index for index, line in enumerate(lines) if not line.startswith('#'))
    return ' '.join(' '.join(line.removeprefix('#') for line in lines[:end]).split())


def test_every_public_config_is_in_a_table():
    assert len(PUBLIC) == 9 and sorted(PUBLISHED) == PUBLIC
    for rows in PUBLISHED.values():
        # One that is left out would not be missed.
        for word in ('learning rate', 'epochs', 'batch', 'gradient clipping', 'weight decay'):
            assert word in rows
        assert {'decay of soft-NMS', 'voting', 'optimizer', 'last batch is dropped'} <= set(rows)


def disagreements(name: str, cfg: Config) -> list[str]:
    """Settings in which a config is neither as published nor as the deviations say."""
    known = {SETTINGS.get(deviation, deviation): row for deviation, row in DEVIATIONS[name].items()}
    wrong = []
    for setting, (key, cell) in PUBLISHED[name].items():
        if not key or cell == '-':
            continue
        expected = literal(cell)
        if setting in known:
            ours = literal(known[setting][1])
            assert ours != expected, f'{name}: {setting} does not deviate'
            expected = ours
        got = value_of(cfg, key)
        if got != expected:
            wrong.append(f'{setting}: {key} is {got}, docs/heads.md says {expected}')
    return wrong


@pytest.mark.parametrize('name', PUBLIC)
def test_a_config_is_as_the_tables_say(name):
    assert disagreements(name, Config.fromfile(CONFIGS / f'{name}.py')) == []


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('bmn_hacs', {'optim_wrapper.clip_grad.max_norm': 40}, 'gradient clipping: .* is 40, .* 1'),
        (
            'gtad_hacs',
            {'optim_wrapper.clip_grad': None},
            'gradient clipping: .* is None, .* says 1',
        ),
        ('gtad_thumos14', {'model.loss_cls.added_counts': (0, 0)}, r'counts: .* \[0, 0\], .* \[10'),
        ('actionformer_hacs', {'model.post_processing.voting': 0.7}, 'voting: .* 0.7, .* None'),
        ('bmn_activitynet', {'train_dataloader.drop_last': False}, 'dropped: .* False, .* True'),
    ],
)
def test_another_value_is_seen(name, options, message):
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.merge_from_dict(options)
    (wrong,) = disagreements(name, cfg)
    assert re.search(message, wrong)


@pytest.mark.parametrize('name', PUBLIC)
def test_the_header_names_source_and_deviations(name):
    text = header(name)
    for setting, (_, cell) in PUBLISHED[name].items():
        if setting.startswith(('source', 'file')):
            assert cell.strip('`') in text, f'{name}: the header does not name {cell}'
    for deviation in DEVIATIONS[name]:
        assert deviation in text.split('Not as published', 1)[-1], f'{name}: {deviation}'
    assert ('Not as published' in text) == bool(DEVIATIONS[name])


def test_every_deviation_is_explained():
    for name, rows in DEVIATIONS.items():
        for deviation, (theirs, ours, because) in rows.items():
            assert theirs and ours and because and theirs != ours, f'{name}: {deviation}'


def test_weight_decay_of_bmn_on_thumos14():
    """Ten times that of the rest in the first two convolutions, and the neck's is the rest's."""
    cfg = Config.fromfile(CONFIGS / 'bmn_thumos14_sola.py')
    model = MODELS.build({**TINY_BMN, 'neck': dict(type='SoLa', hidden_channels=4)})
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    decays = {id(weight): group['weight_decay'] for group in groups for weight in group['params']}
    for name, weight in model.named_parameters():
        expected = 1e-3 if name.startswith('x_1d_b.') else 1e-4
        assert decays[id(weight)] == pytest.approx(expected), name


def test_the_cells_of_a_table():
    page = 'text\n\n| a | key |\n|---|---|\n| `x` | 1 |\n\n| b | c |\n|---|---|\n| d | e |\n'
    assert list(tables(page)) == [[['a', 'key'], ['`x`', '1']], [['b', 'c'], ['d', 'e']]]
    assert literal('none') is None and literal('(1, 2)') == [1, 2] and literal('1e-3') == 0.001


def test_no_config_beside_the_tables():
    """A public config that is added has to be entered."""
    others = {path.stem for path in Path(CONFIGS).glob('*.py')} - set(PUBLIC)
    ours = {'watch', 'salads', 'gtea', 'urfd', 'utkinect'}  # whose settings nobody published
    assert all(
        ours & set(name.split('_')) or name.removesuffix('_sola') in PUBLIC for name in others
    )
