"""Code for a forked interpreter; imports nothing of the package."""

from __future__ import annotations

import os
import sys


def run_forked(folder: str, code: str, output: str) -> None:
    """Run code with a folder first on the path.

    Args:
        folder: The folder.
        code: The code.
        output: File for what it prints.
    """
    file = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.path.insert(0, folder)
    exec(compile(code, 'code', 'exec'), {'__name__': '__main__'})
