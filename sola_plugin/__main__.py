"""The command ``sola``, also ``python -m sola_plugin``: the tools, the configs, the demo.

Light: importing it brings nothing that takes seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from sola_plugin import __version__
from sola_plugin.commands import shipped
from sola_plugin.commands.tool import run_tool

#: Commands that are no tools, and what they do.
_OTHERS = {
    'configs': 'List the configs of the package, or copy one',
    'demo': 'The whole way on the embedded data: features, similarity matching, heads, mAP table',
    'run': "Run a script of another package, such as mmaction2's, with the mended stack",
}


def main() -> None:
    """Run the command."""
    name, *words = sys.argv[1:] or ['--help']
    if name in ('-h', '--help'):
        print(_usage())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    if name == '--version':
        print(f'sola_plugin {__version__}')
        return
    name = name.replace('_', '-')
    if name in _OTHERS:
        dict(configs=_configs, demo=_demo, run=_run)[name](words)
        return
    tools = shipped.tool_names()
    if name not in tools:
        known = ', '.join([*tools, *_OTHERS])
        print(f'error: no command {sys.argv[1]!r}: there are {known}', file=sys.stderr)
        sys.exit(2)
    _run_tool(tools[name], name, words)


def command() -> None:
    """The console script."""
    run_tool(main)


def _usage() -> str:
    commands = {name: shipped.first_sentence(path) for name, path in shipped.tool_names().items()}
    lines = [f'  {name:20} {text}' for name, text in sorted({**commands, **_OTHERS}.items())]
    return '\n'.join(
        [
            'usage: sola COMMAND [ARGUMENTS ...]',
            '',
            *lines,
            '',
            '`sola COMMAND --help` tells the arguments. CONFIG is a file, or a name that '
            '`sola configs` lists.',
        ]
    )


def _run_tool(script: Path, name: str, words: Sequence[str]) -> None:
    """Run a tool under the name by which it was called, which ``runpy`` would replace."""
    sys.argv = [f'sola {name}', *words]
    code = compile(script.read_bytes(), str(script), 'exec')
    exec(code, {'__name__': '__main__', '__file__': str(script)})


def _configs(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser('sola configs', description=_OTHERS['configs'])
    parser.add_argument('name', nargs='?', metavar='CONFIG', help='print where this one lies')
    parser.add_argument(
        '--copy', metavar='DIR', help='copy CONFIG with all that it inherits, to change it'
    )
    args = parser.parse_args(words)
    if args.copy and args.name is None:
        parser.error('--copy DIR needs the name of a config')
    try:
        if args.name is None:
            print('\n'.join(shipped.config_names()))
        elif args.copy:
            print('\n'.join(map(str, shipped.copy_config(args.name, args.copy))))
        else:
            print(shipped.config_path(args.name))
    except (argparse.ArgumentTypeError, OSError) as error:
        sys.exit(f'error: {error}')


def _demo(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser('sola demo', description=_OTHERS['demo'])
    size = parser.add_mutually_exclusive_group()
    size.add_argument('--quick', action='store_true', help='three rows, once: two or three minutes')
    size.add_argument('--full', action='store_true', help='all heads instead of BMN alone')
    parser.add_argument('--seeds', type=int, help='how often with different random numbers')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='default: all cores')
    parser.add_argument('--work-dir', help='default: work_dirs/demo')
    args = parser.parse_args(words)
    study = 'demo_quick' if args.quick else 'demo_full' if args.full else 'demo'
    folder = args.work_dir or f'work_dirs/{study.removesuffix("_full")}'
    arguments = ['--work-dir', folder, '--jobs', str(args.jobs)]
    if args.seeds is not None:
        arguments += ['--seeds', *map(str, range(args.seeds))]
    _run_tool(shipped.tool_names()['ablate'], 'ablate', [study, *arguments])


def _run(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser('sola run', description=_OTHERS['run'])
    parser.add_argument(
        'script',
        metavar='SCRIPT',
        help='a file; mmaction::tools/train.py is that of the installed mmaction2',
    )
    parser.add_argument('arguments', nargs=argparse.REMAINDER, metavar='...', help='its arguments')
    args = parser.parse_args(words)
    script = _find(args.script)
    if not script.is_file():
        sys.exit(f'error: there is no script {script}')
    sys.argv = [str(script), *args.arguments]
    sys.path[0] = str(script.parent)  # as `python SCRIPT` has it
    runpy.run_path(str(script), run_name='__main__')
    if 'torch' in sys.modules:
        from sola_plugin.pretraining.ranks import leave_group

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
    command()
