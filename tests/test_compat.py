"""Mends of the installed stack, and what importing the package does."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
import types
from importlib import metadata
from pathlib import Path

import mmengine.runner  # noqa: F401  (its checkpoints are mended at that moment)
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from sola_plugin._compat import configs, imports
from tests.conftest import ROOT


def python(code: str) -> str:
    """Run code in a new interpreter; return what it prints."""
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        check=True,
        text=True,
        capture_output=True,
        cwd=ROOT,
    ).stdout.strip()


def test_import_needs_no_torch_and_evaluation_numpy_only():
    assert (
        python(
            'import sys, sola_plugin, sola_plugin.evaluation\n'
            'print([m for m in ("torch", "mmaction", "mmengine") if m in sys.modules])'
        )
        == '[]'
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    'first',
    [
        'import sola_plugin',
        'import torch, mmengine.runner, sola_plugin\nfrom mmaction.datasets import *',
    ],
)
def test_importing_registers_everything_in_any_order(first):
    # Every class of the package with the decorator, of whatever module.
    names = re.findall(
        r'^@(\w+)\.register_module\(.*\)\nclass (\w+)',
        '\n'.join(path.read_text() for path in sorted((ROOT / 'sola_plugin').rglob('*.py'))),
        re.M,
    )
    assert len(names) > 20
    code = f"""
{first}
from mmaction import registry
for known, name in {names}:
    assert getattr(registry, known).get(name).__module__.startswith('sola_plugin.'), name
print('ok')
"""
    assert python(code).endswith('ok')


@pytest.mark.slow
def test_custom_imports_is_enough(tmp_path):
    (tmp_path / 'config.py').write_text(
        "custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)\n"
    )
    assert python(f"""
from mmengine.config import Config
Config.fromfile({str(tmp_path / 'config.py')!r})
from mmaction.registry import MODELS
print(MODELS.get('SoLa').__name__)
""").endswith('SoLa')


def test_stock_average_recall_runs():
    """``numpy.trapz`` is back for mmaction2, and is numpy's own function."""
    from mmaction.evaluation import average_recall_at_avg_proposals

    assert np.trapz([0.0, 1.0, 1.0]) == 1.5
    truth = {'v': np.array([[0.0, 10.0, 'a']], dtype=object)}
    auc = average_recall_at_avg_proposals(truth, {'v': np.array([[0.0, 10.0, 0.9]])}, 1)[3]
    assert 0 < auc < 100


@pytest.mark.slow
def test_a_broken_backport_is_no_better_than_none(tmp_path):
    """``importlib_metadata`` as it is without the packages that it needs."""
    (tmp_path / 'importlib_metadata.py').write_text('import no_such_package')
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import sola_plugin
from mmaction.utils.dependency import PackageNotFoundError
print(PackageNotFoundError.__module__)
"""
    assert python(code) == 'importlib.metadata'


@pytest.fixture
def package_utils(monkeypatch):
    """A fresh copy of mmengine's module, mended as if setuptools had no ``pkg_resources``."""
    import mmengine.utils.package_utils as original

    copy = types.ModuleType('package_utils_copy')
    exec(compile(Path(original.__file__).read_text(), original.__file__, 'exec'), copy.__dict__)
    monkeypatch.setattr(configs, 'is_installed', lambda module: module != 'pkg_resources')
    configs.pkg_resources_gone(copy)
    monkeypatch.setitem(sys.modules, 'pkg_resources', None)  # importing it fails
    return copy


def test_packages_are_found_without_pkg_resources(package_utils):
    import mmaction

    assert package_utils.is_installed('mmaction2') and package_utils.is_installed('mmengine')
    assert package_utils.is_installed('sola_plugin') and not package_utils.is_installed(
        'no_such_thing'
    )
    assert package_utils.get_installed_path('mmaction2') == str(Path(mmaction.__file__).parent)
    with pytest.raises(ModuleNotFoundError, match='no_such_thing is not installed'):
        package_utils.get_installed_path('no_such_thing')


@pytest.mark.parametrize('there', [(), ('_distutils_hack',)], ids=['nothing', 'setuptools'])
def test_distutils_of_python_312(monkeypatch, there):
    """Removed; setuptools' may be there and not switched on."""
    before = dict(sys.modules)
    monkeypatch.setattr(imports, 'is_installed', lambda module: module in there)
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    for name in [name for name in sys.modules if name.partition('.')[0] == 'distutils']:
        monkeypatch.delitem(sys.modules, name)
    try:
        assert imports.distutils()
        from distutils import errors

        assert issubclass(errors.DistutilsPlatformError, Exception)
        assert ('setuptools' in errors.__name__ or hasattr(errors, 'CompileError')) == bool(there)
    finally:
        sys.modules.clear()
        sys.modules.update(before)
    monkeypatch.setattr(imports, 'is_installed', lambda module: True)
    assert not imports.distutils()


def test_working_pkg_resources_is_left_alone():
    import mmengine.utils.package_utils as package_utils

    code = package_utils.is_installed.__code__
    is_stock = 'pkg_resources' in code.co_names + code.co_varnames
    assert is_stock == (importlib.util.find_spec('pkg_resources') is not None)


def test_metafile_with_a_list_of_configs(tmp_path, monkeypatch):
    """mmaction2 1.1.0: the mend is applied by version, and reads both forms."""
    import mmengine.config.utils as original

    copy = types.ModuleType('config_utils_copy')
    copy._get_cfg_metainfo = types.FunctionType(
        original._get_cfg_metainfo.__code__, original.__dict__
    )
    before = copy._get_cfg_metainfo.__code__
    monkeypatch.setattr(metadata, 'version', lambda _: '1.2.0')
    configs.list_in_metafile(copy)
    assert copy._get_cfg_metainfo.__code__ is before
    monkeypatch.setattr(metadata, 'version', lambda _: '1.1.0')
    configs.list_in_metafile(copy)
    (tmp_path / '.mim').mkdir()
    (tmp_path / '.mim/model-index.yml').write_text('Import:\n- a.yml\n')
    (tmp_path / '.mim/a.yml').write_text(
        'Models:\n- {Name: x, Config: [configs/l/a.py, configs/l/b.py]}\n'
        '- {Name: y, Config: configs/l/c.py}\n- {Name: z}\n'
    )
    for name in 'abc':
        assert (
            copy._get_cfg_metainfo(str(tmp_path), f'l/{name}.py')['Config']
            == f'configs/l/{name}.py'
        )
    with pytest.raises(ValueError, match='no config .l/d.py. in'):
        copy._get_cfg_metainfo(str(tmp_path), 'l/d.py')


def test_stock_config_of_the_installed_package_is_read(tmp_path):
    (tmp_path / 'config.py').write_text(
        "_base_ = 'mmaction::localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py'\n"
    )
    assert Config.fromfile(tmp_path / 'config.py').model.type == 'BMN'


@pytest.mark.slow
def test_torn_grammars_of_yapf_are_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    python('import mmengine.config')
    files = sorted(tmp_path.rglob('*.pickle'))
    assert len(files) == 2
    for file, size in zip(files, (1000, 0)):
        file.write_bytes(file.read_bytes()[:size])
    code = 'import mmengine.config; print("ok")'
    with pytest.raises(subprocess.CalledProcessError):
        python(code)
    assert python(f'import sola_plugin; {code}') == 'ok'
    assert python(code) == 'ok'


class TestRepeatedLayout:
    """The text of a config is laid out once, as mmengine does it."""

    def test_the_same_text_is_laid_out_once(self):
        seen = []

        def lay_out(text, style_config, verify=False):
            seen.append(text)
            return f'{text} {style_config} {verify}', True

        module = types.SimpleNamespace(FormatCode=lay_out)
        configs.repeated_layout(module)
        assert [
            module.FormatCode(text, style_config=dict(based_on_style='pep8')) for text in 'aba'
        ] == [(f"{text} {{'based_on_style': 'pep8'}} False", True) for text in 'aba']
        assert seen == ['a', 'b']
        assert module.FormatCode('a', style_config=dict(column_limit=9), verify=True) == (
            "a {'column_limit': 9} True",
            True,
        )

    def test_a_dump_is_what_mmengine_writes_and_loads_back(self, tmp_path, monkeypatch):
        from mmengine.config import config
        from yapf.yapflib.yapf_api import FormatCode

        # The tests of this project do without a layout, see conftest.py.
        monkeypatch.setattr(config, 'FormatCode', FormatCode)
        configs.repeated_layout(config)
        cfg = Config(dict(model=dict(type='BMN', path='a' * 60, sizes=[1, 2]), names=['x', 'y z']))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config, 'FormatCode', FormatCode)
            stock = cfg.pretty_text
        cfg.names.append('more')  # a config that was changed is laid out again
        assert cfg.pretty_text != stock
        cfg.names.pop()
        cfg.dump(tmp_path / 'config.py')
        assert (tmp_path / 'config.py').read_text() == stock == cfg.pretty_text
        assert Config.fromfile(tmp_path / 'config.py').to_dict() == cfg.to_dict()

    def test_an_mmengine_without_layout_is_left_alone(self):
        module = types.SimpleNamespace()
        configs.repeated_layout(module)
        assert vars(module) == {}


class TestWeightsOnly:
    """mmengine's checkpoints load, and nothing else does."""

    def test_history_and_one_cycle(self, tmp_path):
        from mmengine.optim import OneCycleLR

        history = HistoryBuffer()
        for value in (1.0, 3.0):
            history.update(value)
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
        scheduler = OneCycleLR(optimizer, eta_max=0.1, total_steps=10)
        torch.save(
            dict(history=history, scheduler=scheduler.state_dict(), eta=np.float64(2)),
            tmp_path / 'a.pth',
        )
        loaded = torch.load(tmp_path / 'a.pth')
        assert loaded['history'].mean() == 2 and loaded['eta'] == 2
        scheduler.load_state_dict(loaded['scheduler'])

    def test_other_attributes_are_refused(self, tmp_path):
        class Reach:
            def __reduce__(self):
                return getattr, (HistoryBuffer, '__init__')

        torch.save(Reach(), tmp_path / 'a.pth')
        with pytest.raises(pickle.UnpicklingError, match="asks for the attribute '__init__'"):
            torch.load(tmp_path / 'a.pth')

    def test_code_is_refused(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return os.system, (f'touch {tmp_path}/written',)

        torch.save(Evil(), tmp_path / 'a.pth')
        with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
            torch.load(tmp_path / 'a.pth')
        assert not (tmp_path / 'written').exists()
