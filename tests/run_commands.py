"""Runs ``python`` commands one after another, each in a process of its own that starts quickly.

``python run_commands.py < COMMANDS``: one argument a line, a blank line after each command. Each
is a fork of this process, which has imported torch and mmengine, the most of a start, and nothing
of sola_plugin or mmaction2. It stops at the first that fails, with its exit code.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import mmengine.runner  # noqa: F401
import torch  # noqa: F401


def main() -> None:
    for command in sys.stdin.read().strip().split('\n\n'):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            sys.argv = command.split('\n')
            sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
            runpy.run_path(sys.argv[0], run_name='__main__')
            return
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            sys.exit(code)


if __name__ == '__main__':
    main()
