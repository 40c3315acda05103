"""``python -m sola_plugin SCRIPT``: scripts of others with the mended stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sola_plugin import __main__ as command
from tests.conftest import CHANNELS, ROOT, TINY_BMN, localization_config

STOCK = 'mmaction::localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py'


def write_stock_config(root: Path, folder: Path) -> Path:
    """What a user of mmaction2 writes: a stock config, own data, and the neck."""
    ours = localization_config(root, folder / 'work')
    text = [
        f'_base_ = {STOCK!r}',
        "custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)",
        f"model = dict(neck=dict(type='SoLa', hidden_channels=4), **{TINY_BMN!r})",
        'train_cfg = dict(max_epochs=1)',
        'val_cfg = val_dataloader = val_evaluator = None',
        "default_hooks = dict(checkpoint=dict(type='CheckpointHook', save_best=None))",
    ]
    for name in ('train_dataloader', 'test_dataloader', 'test_evaluator'):
        text.append(f'{name} = dict(_delete_=True, **{ours[name]!r})')
    (folder / 'stock.py').write_text('\n'.join(text))
    return folder / 'stock.py'


def test_mmaction2s_own_script_without_pkg_resources(data_root, tmp_path):
    """As with setuptools 82, mmengine cannot read the config before it is mended."""
    config = write_stock_config(data_root, tmp_path)
    (tmp_path / 'sitecustomize.py').write_text('import sys; sys.modules["pkg_resources"] = None\n')
    process = subprocess.run(
        [sys.executable, '-m', 'sola_plugin', 'mmaction::tools/train.py', str(config)]
        + ['--work-dir', str(tmp_path / 'work')],
        text=True,
        capture_output=True,
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}'),
    )
    assert process.returncode == 0, process.stderr
    import torch

    state = torch.load(tmp_path / 'work/epoch_1.pth')['state_dict']
    assert state['neck.conv_network.0.weight'].shape == (4, CHANNELS, 5)


def test_a_script_gets_what_python_gives_it(tmp_path, monkeypatch, capsys):
    (tmp_path / 'beside.py').write_text('NAME = "beside"\n')
    script = tmp_path / 'script.py'
    script.write_text('import sys, beside\nprint(__name__, beside.NAME, sys.argv)\n')
    monkeypatch.setattr(sys, 'argv', ['-m', str(script), 'a', '--b'])
    monkeypatch.setattr(sys, 'path', ['', *sys.path])
    command.main()
    assert capsys.readouterr().out == f'__main__ beside {[str(script), "a", "--b"]}\n'


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], '2'),
        (['--help'], '0'),
        (['no_script.py'], 'error: there is no script no_script.py'),
        (['no_package::tools/train.py'], 'error: .*no_package is not installed'),
    ],
    ids=['nothing', 'help', 'no script', 'no package'],
)
def test_wrong_arguments(arguments, words, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['-m', *arguments])
    with pytest.raises(SystemExit, match=words):
        command.main()
