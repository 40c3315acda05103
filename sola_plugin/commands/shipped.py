"""The configs and tools that come with the package, found by name. Standard library only."""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from sola_plugin.messages import first_few

#: Where OpenMMLab's packages keep what is no package: in a clone, links to the folders of the
#: project.
FOLDER = Path(__file__).parents[1] / '.mim'
CONFIGS = FOLDER / 'configs'
TOOLS = FOLDER / 'tools'


def config_names() -> list[str]:
    """Names of all configs but those that are only inherited, such as ``pretrain/sola_watch``."""
    paths = sorted(CONFIGS.glob('[!_]*/*.py'))
    return [path.relative_to(CONFIGS).with_suffix('').as_posix() for path in paths]


def config_path(name: str) -> str:
    """Find a config by its name; a ``type`` for arguments of argparse.

    Args:
        name: A file; or the name of a config that comes with the package, such as
            ``bmn_watch_sola``, ``localization/bmn_watch_sola`` or, as documentation has it,
            ``configs/localization/bmn_watch_sola.py``. A file of that name comes first.

    Returns:
        The file. What looks like a path and is none is returned as it is.

    Raises:
        ArgumentTypeError: No config has this name.
    """
    if os.path.exists(name) or '::' in name:
        return name
    known = config_names()
    wanted = name.removeprefix('configs/').removesuffix('.py')
    found = [each for each in known if wanted in (each, each.rpartition('/')[2])]
    if found:
        return str(CONFIGS / f'{found[0]}.py')
    if name.endswith('.py') or os.sep in name:
        return name
    near = difflib.get_close_matches(name, [each.rpartition('/')[2] for each in known], n=3)
    raise argparse.ArgumentTypeError(
        f'{name!r} is no file and no config of the package'
        + (f'; do you mean {" or ".join(near)}?' if near else '; `sola configs` lists them')
    )


def copy_config(name: str, folder: str | os.PathLike) -> list[Path]:
    """Copy a config with all that it inherits or names, so that it can be changed.

    Args:
        name: See :func:`config_path`.
        folder: Gets ``localization/NAME.py``, ``_base_/...``, as in ``configs/``.

    Returns:
        The files that were written, the config first.

    Raises:
        ArgumentTypeError: No config has this name.
        FileExistsError: A file is there already. None was written.
    """
    first = Path(config_path(name))
    if CONFIGS not in first.parents:
        raise argparse.ArgumentTypeError(f'{name!r} is no config of the package, but {first}')
    sources = list(dict.fromkeys(_with_inherited(first, first.parent)))
    targets = [Path(folder) / source.relative_to(CONFIGS) for source in sources]
    there = [target for target in targets if target.exists()]
    if there:
        raise FileExistsError(
            f'{first_few(map(str, there))}: already there: copy into another folder'
        )
    for source, target in zip(sources, targets):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return targets


def tool_names() -> dict[str, Path]:
    """The tools by the name of their command: ``extract-features`` is ``extract_features.py``."""
    tools = {path.stem.replace('_', '-'): path for path in sorted(TOOLS.glob('*.py'))}
    for short, name in (('pretrain', 'pretrain-sola'), ('doctor', 'check-environment')):
        tools[short] = tools.pop(name)
    return dict(sorted(tools.items()))


def typed(name: str) -> str:
    """How the user of the running command types another one.

    Args:
        name: Of :func:`tool_names`.

    Returns:
        ``'sola train'``, or ``'python tools/train.py'``.
    """
    if sys.argv[0].startswith('sola '):
        return f'sola {name}'
    return f'python tools/{tool_names()[name].name}'


def first_sentence(script: Path) -> str:
    """What a tool does, by the first line of its docstring; it is not run."""
    text = ast.get_docstring(ast.parse(script.read_text(encoding='utf-8'))) or ''
    return ' '.join(text.split()).partition(': ``')[0]


def _with_inherited(path: Path, top: Path) -> Iterator[Path]:
    """A config and those that it names.

    Args:
        path: The config.
        top: Folder of the first one, to which the paths in a study are relative.
    """
    yield path
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        if not node.value.endswith('.py'):
            continue
        for folder in (path.parent, top):
            named = Path(os.path.normpath(folder / node.value))
            if named.is_file() and CONFIGS in named.parents:
                yield from _with_inherited(named, top)
                break
