"""The heads against mmaction2's BMN and a naive G-TAD, interleaved in one run.

    python benchmarks/heads.py                       # every row, about ten minutes on two cores
    python benchmarks/heads.py --rows forward train  # the rows whose name contains one of the words

It prints the Markdown table that docs/benchmarks.md holds. The setting is ActivityNet's: features
``(400, 100)``, durations of up to 100 cells, batch 8 unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import os
import warnings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--rows', nargs='+', default=[''], help='words in the names of the rows to measure'
    )
    parser.add_argument(
        '--repeats', type=int, default=5, help='measurements of each, the median counts'
    )
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--peak', nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    # Idle OpenMP threads sleep instead of spinning: with many short parallel regions on a shared
    # machine, spinning threads take the cores from each other. It must be set before torch is
    # imported.
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
    warnings.filterwarnings('ignore', category=UserWarning)  # of the installed stack
    import torch

    import sola_plugin  # noqa: F401  (mends the stack, so that mmaction2 can be imported)

    torch.set_num_threads(arguments.threads)
    import bmn_rows
    import gtad_rows
    import measure

    if arguments.peak:
        bmn_rows.print_peak(*arguments.peak)
        return
    print(
        f'{measure.machine()}, OMP_WAIT_POLICY={os.environ["OMP_WAIT_POLICY"]}; median of '
        f'{arguments.repeats}, interleaved\n\n{measure.HEADER}',
        flush=True,
    )
    for name, rows in {**bmn_rows.ROWS, **gtad_rows.ROWS}.items():
        if any(word in name for word in arguments.rows):
            for row in rows(arguments.repeats):
                print(row.markdown(), flush=True)


if __name__ == '__main__':
    main()
