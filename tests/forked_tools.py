"""Tools in processes of their own; where they can be, forks, which need not import torch again."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import resource
import runpy
import signal
import sys
import traceback
import warnings
from multiprocessing.connection import Connection
from typing import NamedTuple

from tests.processes import ROOT, START_METHOD, leave_garbage


@contextlib.contextmanager
def room(size: int):
    """No file can grow beyond some bytes, as on a full disk."""
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # Python's: an error, not a kill
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_none = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python 3.11 does not see that a file of it was cut
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_none
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Result(NamedTuple):
    code: int
    stderr: str
    stdout: str


def run_tool(name: str, *arguments: object, size: int = resource.RLIM_INFINITY) -> Result:
    """Run a tool.

    Args:
        name: Of the tool, without ``.py``.
        *arguments: Of the command line.
        size: Files cannot grow beyond that many bytes, see :func:`room`.
    """
    context = multiprocessing.get_context(START_METHOD)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, size, name, *map(str, arguments)))
    process.start()
    sender.close()
    result = Result(*receiver.recv())
    process.join()
    return result


def _run(sender: Connection, size: int, name: str, *arguments: str) -> None:
    leave_garbage()
    # While there is room, and so that nothing but the tool's own lines is seen.
    warnings.simplefilter('ignore')
    import sola_plugin.commands  # noqa: F401

    sys.argv = [f'tools/{name}.py', *arguments]
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), room(size):
        try:
            runpy.run_path(str(ROOT / sys.argv[0]), run_name='__main__')
        except SystemExit as end:
            code = 1 if isinstance(end.code, str) else end.code
            print(end.code, file=stderr)
        except BaseException:
            code = 2
            traceback.print_exc()
    sender.send((code, stderr.getvalue(), stdout.getvalue()))
