#!/usr/bin/env python
"""The main job on the embedded data, over several seeds: a table and a report (``make demo``)."""
from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import sys
import traceback
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from queue import Empty

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seeds', type=int, default=3, help='number of seeds (default 3)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--jobs', type=int, default=min(os.cpu_count() or 1, 8),
                        help='seeds that run at the same time, one thread each (default: the cores)')
    parser.add_argument('--pretrain', default='pretrain/sola_watch.py', metavar='CONFIG',
                        help='config of similarity matching, relative to configs/')
    heads = ('BMN', 'G-TAD', 'ActionFormer')
    parser.add_argument('--heads', nargs='+', default=heads, choices=heads)
    regime = parser.add_argument_group('regime (docs/watch.md)')
    regime.add_argument('--split', choices=('time', 'subject'), default='time')
    regime.add_argument('--labelled', type=int, default=14, metavar='N')
    regime.add_argument('--encoder-classes', nargs='+', default=('IR', 'ER', 'TRAP'), metavar='NAME')
    regime.add_argument('--validation', action='store_true',
                        help='cut all streams from the training part, for choosing settings')
    args = parser.parse_args()
    if args.seeds < 1 or args.jobs < 1:
        parser.error('--seeds and --jobs expect at least 1')
    return args


def work(seed: int, head: str | None, args: argparse.Namespace, queue) -> dict | None:
    """One head of one seed (``None``: data and SoLa), on one thread, with the log in ``seedN/log.txt``."""
    folder = args.work_dir / f'seed{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'log.txt', 'a', encoding='utf-8') as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(log.fileno(), stream.fileno())
    try:
        import torch

        from sola_plugin.apis.watch_demo import Job, Regime, prepare, run_head

        torch.set_num_threads(1)
        regime = Regime(args.split, args.labelled, tuple(args.encoder_classes), args.validation)
        job = Job(seed, folder, CONFIGS, regime, args.pretrain)

        def report(stage: str) -> None:
            queue.put(f'seed {seed}: {stage}')

        return prepare(job, report) if head is None else run_head(job, head, report)
    except Exception:
        traceback.print_exc()
        raise


def run_all(args: argparse.Namespace) -> list[dict]:
    """All seeds, with a progress bar over their stages: data and SoLa first, then the heads."""
    # A spawned process reads this before it imports torch.
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    from sola_plugin.apis.watch_demo import NUM_HEAD_STAGES, NUM_PREPARE_STAGES

    seeds = range(args.seeds)
    context = multiprocessing.get_context('spawn')
    columns = (TextColumn('{task.description:<44}'), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with context.Manager() as manager, Progress(*columns) as progress, ProcessPoolExecutor(
            args.jobs, mp_context=context) as pool:
        queue = manager.Queue()
        stages = NUM_PREPARE_STAGES + NUM_HEAD_STAGES * len(args.heads)
        task = progress.add_task('starting', total=args.seeds * stages)

        def finish(futures: dict[Future, int]) -> None:
            while not all(future.done() for future in futures) or not queue.empty():
                with contextlib.suppress(Empty):
                    progress.update(task, advance=1, description=queue.get(timeout=0.5))
            for future, seed in futures.items():
                if future.exception() is not None:
                    raise SystemExit(f'seed {seed} failed: {future.exception()}. '
                                     f'Its log: {args.work_dir}/seed{seed}/log.txt')

        finish({pool.submit(work, seed, None, args, queue): seed for seed in seeds})
        jobs = {(seed, head): pool.submit(work, seed, head, args, queue)
                for seed in seeds for head in args.heads}
        finish({future: seed for (seed, _), future in jobs.items()})
    return [{head: jobs[seed, head].result() for head in args.heads} for seed in seeds]


def main() -> None:
    """Run the command."""
    args = parse_args()
    figures = run_all(args)
    from sola_plugin.apis.watch_report import results_table, write_watch_report
    from sola_plugin.utils import atomic_write
    from sola_plugin.visualization import to_markdown, to_text

    tables = {head: results_table(figures, head) for head in args.heads}
    for table in tables.values():
        print(to_text(table))
    command = ' '.join(['python', *sys.argv])
    report = args.work_dir / 'report.html'
    settings = dict(seeds=args.seeds, split=args.split, labelled=args.labelled,
                    encoder_classes=' '.join(args.encoder_classes), validation=args.validation,
                    similarity_matching=args.pretrain)
    write_watch_report(report, tables, args.work_dir, args.seeds,
                       command=command, settings=settings)
    with atomic_write(args.work_dir / 'results.md') as file:
        file.write('\n'.join([f'`{command}`\n', *map(to_markdown, tables.values())]))
    with atomic_write(args.work_dir / 'results.json') as file:
        json.dump(dict(settings=settings, seeds=figures), file, indent=1)
    print(f'report: {report}')


if __name__ == '__main__':
    main()
