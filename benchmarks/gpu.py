#!/usr/bin/env python
"""Heads, similarity matching and pretraining on a GPU, beside their peers, in one table.

    python benchmarks/gpu.py                      # below four minutes on a large GPU
    python benchmarks/gpu.py --rows BMN matching  # tables whose names contain one of the words
    python benchmarks/gpu.py --tiny               # small sizes, also on a CPU: whether it runs
    python benchmarks/gpu.py --count              # operations of the heads only, also on a CPU

Every row is compared with float64 before it is timed; ours and the peer run in turn, and medians
count. "As CUDA graph" is ours, recorded once and replayed: what is left without Python. Memory is
what a call adds at its peak. Without a GPU, kernels are the operations that would start them:
views and memory that is only reserved are not counted. With --count, "as on a CPU" is what a CPU
computes, and "as on a GPU" what is computed there without TF32, and with it or in half precision.
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
    parser.add_argument('--rows', nargs='+', default=[''], help='words in the names of tables')
    parser.add_argument('--repeats', type=int, default=10, help='calls of each')
    parser.add_argument('--tiny', action='store_true', help='small sizes, to see that it runs')
    parser.add_argument('--count', action='store_true', help='operations instead of times')
    args = parser.parse_args()
    os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
    warnings.filterwarnings('ignore', category=UserWarning)  # of the installed stack
    import torch

    import sola_plugin  # noqa: F401  (mends the stack, so that mmaction2 can be imported)

    if args.count:
        from gpu_counts import print_counts

        print_counts(args.tiny)
        return
    if not args.tiny and not torch.cuda.is_available():
        parser.error('there is no GPU here: --tiny shows that it runs')
    from gpu_heads import actionformer_rows, bmn_rows, gtad_rows
    from gpu_matching import matching_rows, print_pretraining
    from gpu_measure import HEADER, row
    from measure import machine, now

    begin = now()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'
    print(f'{machine()}; {device}; median of {args.repeats}, interleaved\n\n{HEADER}', flush=True)
    tables = {
        'BMN': bmn_rows,
        'G-TAD': gtad_rows,
        'ActionFormer': actionformer_rows,
        'similarity matching': matching_rows,
    }
    for name, rows in tables.items():
        if any(word in name for word in args.rows):
            for comparison in rows(args.tiny):
                print(row(comparison, args.repeats), flush=True)
    if any(word in 'pretraining' for word in args.rows):
        print_pretraining(args.tiny)
    print(f'\n{now() - begin:.0f} s')


if __name__ == '__main__':
    main()
