"""Mends of how configs are found, read and laid out, see :mod:`sola_plugin._compat`."""

from __future__ import annotations

import functools
import pickle
import tempfile
from collections.abc import Callable
from importlib import metadata
from types import FunctionType, ModuleType
from typing import Any

from ..io import naming_file
from .imports import is_installed


def torn_grammars(driver: ModuleType) -> bool:
    """Symptom: ``EOFError: Ran out of input`` from yapf on ``import mmengine``.

    The first process on a machine keeps yapf's grammars in a file, and gives the file its name
    before all of it is written: a second one that starts at that moment (another rank, another
    worker) reads a part, and after a kill so does every later one. What cannot be read is made
    again.
    """
    load = driver.load_grammar

    @functools.wraps(load)
    def load_or_make(*args: Any, **options: Any) -> Any:
        try:
            return load(*args, **options)
        except (EOFError, pickle.UnpicklingError):
            return load(*args, **{**options, 'force': True})

    driver.load_grammar = load_or_make  # type: ignore[attr-defined]
    return True


def _replace_body(function: FunctionType, body: Callable) -> None:
    """Give a function another body in place, so that who imported it by name sees the mend."""
    assert isinstance(body, FunctionType)
    function.__code__ = body.__code__


def pkg_resources_gone(package_utils: ModuleType) -> bool:
    """Symptom: ``No module named 'pkg_resources'`` for ``_base_ = 'mmaction::...'`` in a config.

    mmengine looks packages up with ``pkg_resources``, which setuptools 82 removed.
    """
    if is_installed('pkg_resources'):
        return False
    _replace_body(package_utils.is_installed, _is_package_installed)
    _replace_body(package_utils.get_installed_path, _package_path)
    return True


def _is_package_installed(package):
    import importlib.util
    from importlib import metadata

    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None
    return True


def _package_path(package):
    import importlib.util
    import os
    from importlib import metadata

    module = package
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pass
    else:
        # A distribution may have another name than its module (mmaction2 and mmaction).
        if not os.path.exists(str(distribution.locate_file(package))):
            module = (distribution.read_text('top_level.txt') or package).split()[0]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'{package} is not installed, or is a namespace package')
    return os.path.dirname(spec.origin)


def list_in_metafile(config_utils: ModuleType) -> bool:
    """Symptom: ``'list' object has no attribute 'partition'`` for ``_base_ = 'mmaction::...'``.

    mmengine reads every metafile of the package, and the BSN metafile of mmaction2 1.1.0 and older
    gives a list of configs where mmengine knows a single one.
    """
    try:
        version = metadata.version('mmaction2')
    except metadata.PackageNotFoundError:
        return False
    if tuple(int(part) for part in version.split('.')[:2]) >= (1, 2):
        return False
    _replace_body(config_utils._get_cfg_metainfo, _cfg_metainfo)
    return True


def _cfg_metainfo(package_path, cfg_path):
    import os

    from mmengine.fileio import load

    folder = os.path.join(package_path, '.mim')
    found: dict = {}
    for meta_path in load(os.path.join(folder, 'model-index.yml'))['Import']:
        for model in load(os.path.join(folder, meta_path))['Models']:
            configs = model.get('Config', [])
            for config in [configs] if isinstance(configs, str) else configs:
                # The first of several weights for one config counts, as in mmengine.
                found.setdefault(config.partition('/')[-1], {**model, 'Config': config})
    if cfg_path not in found:
        raise ValueError(f'no config {cfg_path!r} in {package_path}: there are {sorted(found)}')
    return found[cfg_path]


def unknown_package(config: ModuleType) -> bool:
    """Symptom: ``mmengine does not support to load sola_plugin config`` for ``sola_plugin::...``.

    mmengine inherits from the configs of the packages in its own table only, and takes the name of
    the package for that of the registries that its classes are in: ours are in mmaction2's.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    package = __name__.partition('.')[0]
    MODULE2PACKAGE.setdefault(package, package)
    find = config.Config._get_cfg_path

    @functools.wraps(find)
    def path_and_scope(*args: Any, **kwargs: Any) -> tuple[str, str | None]:
        path, scope = find(*args, **kwargs)
        return path, 'mmaction' if scope == package else scope

    config.Config._get_cfg_path = staticmethod(path_and_scope)
    return True


def repeated_layout(config: ModuleType) -> bool:
    """Symptom: a run spends seconds, with many checkpoints minutes, on the layout of its config.

    mmengine lets yapf lay the same text out four times at the start of a run and once more for
    every checkpoint: 0.02 to 0.8 s each time, most with long paths. The last texts are remembered;
    what is written stays the same.
    """
    lay_out = getattr(config, 'FormatCode', None)
    if lay_out is None:
        return False

    @functools.lru_cache(maxsize=16)
    def remembered(text: str, style: tuple, options: tuple) -> Any:
        return lay_out(text, style_config=dict(style), **dict(options))

    @functools.wraps(lay_out)
    def once(text: str, style_config: dict, **options: Any) -> Any:
        return remembered(text, tuple(style_config.items()), tuple(options.items()))

    config.FormatCode = once  # type: ignore[attr-defined]
    return True


def config_copies(config: ModuleType) -> bool:
    """Symptom: a full disk ends a command with ``No space left on device`` and no file name.

    mmengine reads a config from a copy that it writes to the folder of temporary files.
    """
    read = config.Config._file2dict

    @functools.wraps(read)
    def read_and_name(*args: Any, **kwargs: Any) -> Any:
        with naming_file(tempfile.gettempdir()):
            return read(*args, **kwargs)

    config.Config._file2dict = staticmethod(read_and_name)
    return True
