"""A tool of a rank that waits for another one, in code that no signal handler interrupts."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from sola_plugin.commands.tool import run_tool, stoppable

stoppable(__name__, 'go on')


def main() -> None:
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    (folder / f'rank{rank}').touch()
    if rank == 1:
        time.sleep(600)
    dist.all_reduce(torch.ones(1))


if __name__ == '__main__':
    run_tool(main)
