"""Run another package's script with the mended stack: ``python -m sola_plugin SCRIPT ARGUMENTS``.

mmengine reads ``_base_ = 'mmaction::...'`` before the ``custom_imports`` of a config. Here the
mends are in place before the script begins.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

_USAGE = """\
usage: python -m sola_plugin SCRIPT [ARGUMENTS ...]

Run SCRIPT with this package imported first. mmaction::tools/train.py is mmaction2's own script,
from where it is installed."""


def main() -> None:
    """Run the command."""
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        print(_USAGE)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    script = _find(sys.argv[1])
    if not script.is_file():
        sys.exit(f'error: there is no script {script}')
    sys.argv = [str(script), *sys.argv[2:]]
    sys.path[0] = str(script.parent)  # as `python SCRIPT` has it
    runpy.run_path(str(script), run_name='__main__')
    if 'torch' in sys.modules:
        from sola_plugin.pretraining.runs import leave_group

        leave_group()


def _find(name: str) -> Path:
    """The file that a name or ``PACKAGE::FILE`` of an OpenMMLab package stands for."""
    package, separator, file = name.partition('::')
    if not separator:
        return Path(name)
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        sys.exit(f'error: {name}: {package} is not installed')
    return Path(spec.origin).parent / '.mim' / file


if __name__ == '__main__':
    main()
