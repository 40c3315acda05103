"""The command ``sola``: tools, configs, the demo, and scripts of others with the mended stack."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from sola_plugin import __main__ as command
from sola_plugin import __version__
from sola_plugin.commands import shipped
from sola_plugin.necks import read_sola
from sola_plugin.studies.study import load_study
from tests.conftest import CHANNELS, ROOT, TINY_BMN, localization_config
from tests.processes import environment

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


@pytest.mark.slow
def test_mmaction2s_own_script_without_pkg_resources(data_root, tmp_path):
    """As with setuptools 82, mmengine cannot read the config before it is mended."""
    config = write_stock_config(data_root, tmp_path)
    (tmp_path / 'sitecustomize.py').write_text('import sys; sys.modules["pkg_resources"] = None\n')
    process = subprocess.run(
        [sys.executable, '-m', 'sola_plugin', 'run', 'mmaction::tools/train.py', str(config)]
        + ['--work-dir', str(tmp_path / 'work')],
        text=True,
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert process.returncode == 0, process.stderr
    state = read_sola(tmp_path / 'work/epoch_1.pth')['state_dict']
    assert state['conv_network.0.weight'].shape == (4, CHANNELS, 5)


def test_a_script_gets_what_python_gives_it(tmp_path, monkeypatch, capsys):
    (tmp_path / 'beside.py').write_text('NAME = "beside"\n')
    script = tmp_path / 'script.py'
    script.write_text('import sys, beside\nprint(__name__, beside.NAME, sys.argv)\n')
    monkeypatch.setattr(sys, 'argv', ['sola', 'run', str(script), 'a', '--b'])
    monkeypatch.setattr(sys, 'path', ['', *sys.path])
    command.main()
    assert capsys.readouterr().out == f'__main__ beside {[str(script), "a", "--b"]}\n'


@pytest.fixture
def sola(monkeypatch, capsys):
    """The command in this process: exit code, output and errors."""

    def run(*words: object) -> tuple[int, str, str]:
        code = 0
        with monkeypatch.context() as patch:
            patch.setattr(sys, 'argv', ['sola', *map(str, words)])
            try:
                command.main()
            except SystemExit as end:
                code = end.code or 0
                if isinstance(code, str):
                    print(code, file=sys.stderr)
                    code = 1
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ('arguments', 'expected', 'words'),
    [
        ([], 2, 'usage: sola COMMAND'),
        (['--help'], 0, 'usage: sola COMMAND'),
        (['--version'], 0, f'sola_plugin {__version__}'),
        (
            ['trian'],
            2,
            "error: no command 'trian': there are ablate, .* transform-features, configs",
        ),
        (['run', 'no_script.py'], 1, 'error: there is no script no_script.py'),
        (['run', 'no_package::tools/train.py'], 1, 'error: .*no_package is not installed'),
        (['train', 'bmn_wach'], 2, "CONFIG: 'bmn_wach' is no file .* do you mean bmn_watch"),
        (['train', 'xyz'], 2, '`sola configs` lists them'),
        (['configs', 'xyz'], 1, '`sola configs` lists them'),
        (['configs', '--copy', 'x'], 2, '--copy DIR needs the name of a config'),
        (['configs', 'setup.cfg', '--copy', 'x'], 1, 'is no config of the package'),
        (['test', 'configs/localization/bmn_wach.py', 'x'], 1, 'bmn_wach.py'),
    ],
)
def test_wrong_or_no_arguments(sola, monkeypatch, arguments, expected, words):
    monkeypatch.chdir(ROOT)
    code, out, errors = sola(*arguments)
    assert code == expected and re.search(words, out + errors)


def test_every_tool_is_a_command_with_its_help(sola):
    scripts = {path.name for path in (ROOT / 'tools').glob('*.py')}
    assert {path.name for path in shipped.tool_names().values()} == scripts
    _, usage, _ = sola('--help')
    for name, script in shipped.tool_names().items():
        line = next(line for line in usage.splitlines() if line.startswith(f'  {name} '))
        assert len(line.split()) >= 3 and 'python' not in line
        code, out, _ = sola(name, '--help')
        assert code == 0 and out.startswith(f'usage: sola {name} '), script
    assert sola('extract_features', '--help')[0] == 0  # as the script is called


def test_a_command_is_the_tool(sola, run_script, tmp_path):
    ground_truth, results = tmp_path / 'a.json', tmp_path / 'b.json'
    database = dict(v=dict(duration=9, subset='x', annotations=[dict(segment=[1, 3], label='a')]))
    ground_truth.write_text(json.dumps(dict(database=database)))
    results.write_text(
        json.dumps(dict(results=dict(v=[dict(segment=[1, 3], label='a', score=0.5)])))
    )
    code, out, _ = sola('evaluate', ground_truth, results)
    assert code == 0 and out == run_script('tools/evaluate.py', ground_truth, results).stdout
    report = tmp_path / 'why.html'
    assert sola('diagnose', ground_truth, results, '--report', report)[0] == 0
    assert f'sola diagnose {ground_truth}' in report.read_text()


class TestConfigs:
    def test_every_config_is_found_by_its_name(self, sola, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        names = sola('configs')[1].split()
        files = [path for path in (ROOT / 'configs').glob('*/*.py') if path.parts[-2] != '_base_']
        assert len(names) == len(files)
        stems = [name.rpartition('/')[2] for name in names]
        assert len(set(stems)) == len(stems)
        for name, stem in zip(names, stems):
            path = shipped.config_path(stem)
            assert path == shipped.config_path(name) == shipped.config_path(f'configs/{name}.py')
            assert Path(path).samefile(ROOT / f'configs/{name}.py')

    def test_a_file_comes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / 'bmn_watch').write_text('')
        assert shipped.config_path('bmn_watch') == 'bmn_watch'
        assert shipped.config_path('mmaction::a/b.py') == 'mmaction::a/b.py'

    @pytest.mark.parametrize('name', ['bmn_activitynet_sola', 'pretrain/sola_watch'])
    def test_a_copy_is_complete(self, sola, tmp_path, name):
        code, out, _ = sola('configs', name, '--copy', tmp_path / 'mine')
        first, *others = map(Path, out.split())
        assert code == 0 and others and first.is_relative_to(tmp_path / 'mine')
        copied, original = map(Config.fromfile, (first, shipped.config_path(name)))
        assert copied.to_dict() == original.to_dict()
        code, _, errors = sola('configs', name, '--copy', tmp_path / 'mine')
        assert code == 1 and 'already there: copy into another folder' in errors

    @pytest.mark.parametrize(
        'name', ['demo', 'pretexts', 'transfer', pytest.param('real_video', marks=pytest.mark.slow)]
    )
    def test_a_study_is_copied_with_the_configs_that_it_names(self, sola, tmp_path, name):
        first = sola('configs', name, '--copy', tmp_path)[1].split()[0]
        study = load_study(first)
        named = [cell.head for cell in study.cells] + [c.pretrain for c in study.cells]
        for path in filter(None, named):
            assert tmp_path in path.parents and Config.fromfile(path)

    @pytest.mark.slow
    def test_they_are_inherited_from_elsewhere(self, tmp_path, recwarn):
        (tmp_path / 'mine.py').write_text(
            "_base_ = 'sola_plugin::localization/bmn_watch.py'\nmodel = dict(temporal_dim=64)"
        )
        # An editable install has no path that mmengine with pkg_resources would find.
        code = (
            'import sys; sys.modules["pkg_resources"] = None\nimport sola_plugin\n'
            'from mmengine.config import Config\nfrom mmaction.registry import MODELS\n'
            f'cfg = Config.fromfile({str(tmp_path / "mine.py")!r})\n'
            'print(MODELS.build(cfg.model).tscale, cfg.default_scope)'
        )
        done = subprocess.run(
            [sys.executable, '-c', code],
            text=True,
            capture_output=True,
            env=environment(),
        )
        assert done.stdout == '64 mmaction\n' and 'WARNING' not in done.stderr, done.stderr


def test_the_demo_is_the_study(monkeypatch):
    """What it runs; the quick one has the cells of the demo, once, with one head."""
    seen = []
    monkeypatch.setattr(command, '_run_tool', lambda script, name, words: seen.append(words))
    for words in (['--quick'], ['--seeds', '2', '--jobs', '1', '--work-dir', 'w'], ['--full']):
        monkeypatch.setattr(sys, 'argv', ['sola', 'demo', *words])
        command.main()
    assert seen[0][:3] == ['demo_quick', '--work-dir', 'work_dirs/demo_quick']
    assert seen[1] == ['demo', '--work-dir', 'w', '--jobs', '1', '--seeds', '0', '1']
    assert seen[2][:3] == ['demo_full', '--work-dir', 'work_dirs/demo']
    quick, demo, full = (
        load_study(shipped.config_path(name)) for name in ('demo_quick', 'demo', 'demo_full')
    )
    assert len(quick.cells) == 3 and len(quick.seeds) == 1
    for small, large in ((quick, demo), (demo, full)):
        levels = [cell.levels for cell in large.cells]
        assert all(cell.levels in levels for cell in small.cells)
