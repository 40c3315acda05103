"""The config of a run from the command line: its arguments, reading it, and ``--cfg-options``."""

from __future__ import annotations

import argparse
import codecs
import difflib
import inspect
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import Registry
from mmengine.runner import Runner

from sola_plugin import lazy_names
from sola_plugin.messages import first_few
from sola_plugin.pretraining.ranks import leave_group_at_exit, prepare_cpu_ranks

from .shipped import config_path

#: Names that were here in 0.1.0.
__getattr__ = lazy_names(
    'sola_plugin.commands', {'add_training_arguments': 'training', 'data_errors': 'tool'}
)

#: Keys at the top of a config that somebody reads.
_READ = frozenset(inspect.signature(Runner.__init__).parameters) | {
    'custom_imports',
    'runner_type',
    'model_wrapper_cfg',
    'find_unused_parameters',
    'auto_scale_lr',
}


class ConfigError(ValueError):
    """A config cannot be read, or a change of it would reach nothing."""


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``CONFIG --work-dir --cfg-options --launcher``.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        'config', type=config_path, metavar='CONFIG', help='file, or a name of `sola configs`'
    )
    parser.add_argument(
        '--work-dir',
        help='folder for logs and results '
        '(default: work_dir of the config, or work_dirs/<config name>)',
    )
    add_cfg_options(parser, 'model.max_duration=16')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher; torchrun is pytorch',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_cfg_options(parser: argparse.ArgumentParser, example: str = '') -> None:
    """Add ``--cfg-options``, for :func:`read_config`.

    Args:
        parser: Changed in place.
        example: What the tool's users may want, for the help.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config' + f', e.g. {example}' * bool(example),
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read the config file and apply the command line to it.

    Args:
        args: Parsed arguments of :func:`add_runner_arguments`, and of
            :func:`~.training.add_training_arguments` where the tool has them.

    Returns:
        A Runner config with ``work_dir`` and ``launcher`` set.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if cfg.launcher != 'none':
        leave_group_at_exit()
    prepare_cpu_ranks(cfg)
    # The command line comes first, then the config, then the name of the config.
    cfg.work_dir = (
        args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    )
    if getattr(args, 'amp', False):
        if not torch.cuda.is_available():
            raise ConfigError('--amp needs a GPU, and PyTorch sees none: leave it out')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    randomness = dict(cfg.get('randomness') or {})
    if getattr(args, 'seed', None) is not None:
        randomness['seed'] = args.seed
    if getattr(args, 'deterministic', False):
        randomness['deterministic'] = True
    if randomness:
        cfg.randomness = {'seed': None, **randomness}
    resume = getattr(args, 'resume', None)
    if resume is not None:
        cfg.resume = True
        cfg.load_from = None if resume == 'auto' else resume
    return cfg


def read_config(path: str | os.PathLike, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config file and change it as the command line says.

    Args:
        path: The file.
        options: See :func:`merge_options`.

    Raises:
        ConfigError: It is no Python, JSON or YAML, or an option reaches nothing.
        FileNotFoundError: There is no such file.
    """
    try:
        cfg = Config.fromfile(os.fspath(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(_unreadable(path, error)) from error
    # Of pure Python it has what the file imports, too.
    content = {key: part for key, part in cfg.items() if not callable(part)}
    if any(_last(where) == 'type' and callable(kind) for where, kind in _walk(content)):
        cfg = Config(_with_names(content), filename=cfg.filename)
    merge_options(cfg, options)
    return cfg


def _with_names(content: Any) -> Any:
    """A config in pure Python (mmengine's "new style") with the names of its classes.

    So it is one with the others: it can be written, compared, and changed by name.
    """
    if isinstance(content, Mapping):
        return {
            key: _name_of(part) if key == 'type' and callable(part) else _with_names(part)
            for key, part in content.items()
        }
    if isinstance(content, (list, tuple)):
        return type(content)(map(_with_names, content))
    return content


def _name_of(kind: Any) -> str:
    """The name that a class is registered with; else where it lies, which mmengine builds too."""
    import mmaction.registry

    name = kind.__name__
    for registry in vars(mmaction.registry).values():
        while isinstance(registry, Registry):
            if registry.module_dict.get(name) is kind:
                return name
            registry = registry.parent
    return f'{kind.__module__}.{kind.__qualname__}'


def _unreadable(path: str | os.PathLike, error: Exception) -> str:
    with open(path, 'rb') as file:
        mark = file.read(4)
    if mark.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return f'{path}: begins with a byte-order mark: save the config as UTF-8 without it'
    return f'cannot read the config {path}: {error}'


def merge_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Change a config as the command line says.

    A name at the top that only the file itself uses, such as ``data_root``, is set wherever a key
    of this name has its value.

    Args:
        cfg: Changed in place.
        options: Values by dotted key.

    Raises:
        ConfigError: There is no such key, or setting it reaches nothing; the message has the
            nearest keys.
    """
    for key, value in _types_first(options or {}):
        top, *rest = key.split('.')
        if not rest and top in cfg and top not in _READ:
            _set_everywhere(cfg, top, value)
            continue
        if top not in cfg and top not in _READ:
            raise ConfigError(
                f'--cfg-options {key}: the config has no {top!r}{_nearest(top, {*cfg, *_READ})}'
            )
        _check_branch(cfg, key)
        cfg.merge_from_dict({key: value})


def _types_first(options: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What becomes a part of the model is named before its arguments, in whatever order it came."""
    return sorted(
        options.items(),
        key=lambda option: option[0].count('.') if _last(option[0]) == 'type' else math.inf,
    )


def move_data(cfg: Config, before: str, after: str) -> None:
    """Replace a folder of data, and whatever lies below it, wherever a config names it.

    Args:
        cfg: Changed in place.
        before: The folder, as the config has it.
        after: Where it is.
    """
    for path, changed in _below(dict(cfg.items()), before, after).items():
        cfg.merge_from_dict({path: changed})


def _below(content: Any, before: str, after: str) -> dict[str, str]:
    """What lies in a folder, such as features and annotations: where it is said → new path."""
    folder = before.rstrip('/')
    return {
        path: os.path.join(after, part.removeprefix(folder).lstrip('/'))
        for path, part in _walk(content)
        if isinstance(part, str) and (part == folder or part.startswith(folder + '/'))
    }


def _set_everywhere(cfg: Config, name: str, value: Any) -> None:
    before = cfg[name]
    content = {key: part for key, part in cfg.items() if key != name}
    if name == 'data_root' and isinstance(before, str) and before.strip('/'):
        changes: dict[str, Any] = _below(content, before, str(value))
    else:
        paths = (path for path, part in _walk(content) if part == before)
        changes = {path: value for path in paths if _last(path) == name}
    if not changes:
        users = [path for path, part in _walk(content) if part == before and part is not None]
        hint = f'; {first_few(users)} have its value: set these' if users else ''
        raise ConfigError(
            f'--cfg-options {name}: it is a variable of the config file, which is read already: '
            f'setting it reaches nothing{hint}'
        )
    for path, changed in {name: value, **changes}.items():
        cfg.merge_from_dict({path: changed})


def _check_branch(cfg: Config, key: str) -> None:
    """Refuse a new key in a dict whose keys are nobody's arguments.

    Where a dict has a ``type``, the class refuses what it does not take.
    """
    here: Any = dict(cfg.items())
    for number, name in enumerate(key.split('.')):
        if isinstance(here, (list, tuple)):
            if not name.isdecimal() or int(name) >= len(here):
                return  # mmengine says it
            here = here[int(name)]
            continue
        if not isinstance(here, Mapping):
            return
        if name not in here:
            free = number == 0 or not here or 'type' in here or _is_schedule(key)
            if not free:
                where = '.'.join(key.split('.')[:number])
                raise ConfigError(
                    f'--cfg-options {key}: {where} has no {name!r}{_nearest(name, here)}'
                )
            return
        here = here[name]


def _is_schedule(key: str) -> bool:
    """Dicts without a ``type`` that are arguments all the same."""
    return key.split('.')[0] in ('train_cfg', 'val_cfg', 'test_cfg', 'randomness', 'env_cfg') or (
        key.split('.')[0].endswith('_dataloader') and len(key.split('.')) == 2
    )


def _walk(content: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    items = (
        content.items()
        if isinstance(content, Mapping)
        else enumerate(content)
        if isinstance(content, (list, tuple))
        else ()
    )
    for key, part in items:
        here = f'{path}.{key}' if path else str(key)
        yield here, part
        yield from _walk(part, here)


def _last(path: str) -> str:
    return path.rpartition('.')[2]


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, map(str, known), n=3, cutoff=0.5)
    return f'; do you mean {" or ".join(near)}?' if near else f': it has {first_few(known, 8)}'
