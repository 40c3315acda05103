"""What launchers of several ranks leave in the environment."""

from __future__ import annotations

import os
import subprocess

#: Launcher → the variable of rank, number of ranks and rank on its machine, and who sets them.
_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'torchrun'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID', 'srun'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
        'mpirun of Open MPI',
    ),
}


class LauncherError(ValueError):
    """A launcher did not say which rank this is; the message names what is missing."""


def prepare_ranks(launcher: str) -> None:
    """Set the variables of ``torchrun``, from which PyTorch joins the ranks, for any launcher.

    mmengine does it too, but not on a machine without a GPU, and too late for what looks at the own
    GPU before.

    Args:
        launcher: ``'pytorch'``, ``'slurm'`` or ``'mpi'``; with others nothing is done.

    Raises:
        LauncherError: A variable is missing.
    """
    if launcher not in _VARIABLES:
        return
    *names, who = _VARIABLES[launcher]
    for name in names:
        if name not in os.environ:
            raise LauncherError(
                f'--launcher {launcher}: the variable {name} is not set: start the command with '
                f'{who} (docs/clusters.md), or leave the option out'
            )
    os.environ.update(
        zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), (os.environ[name] for name in names))
    )
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host(launcher)


def _first_host(launcher: str) -> str:
    """Name of the machine of rank 0, as Slurm knows it."""
    nodes = os.environ.get('SLURM_NODELIST')
    advice = 'set it to the machine of rank 0'
    if launcher != 'slurm' or nodes is None:
        raise LauncherError(f'--launcher {launcher}: the variable MASTER_ADDR is not set: {advice}')
    try:
        found = subprocess.run(
            ['scontrol', 'show', 'hostnames', nodes], check=True, capture_output=True, text=True
        ).stdout.split()
        return found[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise LauncherError(
            f'--launcher slurm: scontrol does not tell the hosts of {nodes} ({error}), and '
            f'MASTER_ADDR is not set: {advice}'
        ) from error
