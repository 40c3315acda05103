#!/usr/bin/env python
"""The main job on the embedded data, over several seeds: a table and a report (``make demo``)."""
from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
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


def work(seed: int, args: argparse.Namespace, queue) -> dict:
    """One seed in a process of its own, on one thread, its log in ``seedN/log.txt``."""
    folder = args.work_dir / f'seed{seed}'
    folder.mkdir(parents=True, exist_ok=True)
    log = open(folder / 'log.txt', 'a', encoding='utf-8')  # noqa: SIM115 (lives as long as the process)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log.fileno(), stream.fileno())
    try:
        import torch

        from sola_plugin.apis.watch_demo import Regime, run_seed

        torch.set_num_threads(1)
        regime = Regime(args.split, args.labelled, tuple(args.encoder_classes), args.validation)
        return run_seed(seed, folder, CONFIGS, regime, args.pretrain, args.heads,
                        lambda stage: queue.put(f'seed {seed}: {stage}'))
    except Exception:
        traceback.print_exc()
        raise


def run_all(args: argparse.Namespace) -> list[dict]:
    """All seeds, with a progress bar over their stages."""
    # A spawned process reads this before it imports torch.
    os.environ.update(OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    context = multiprocessing.get_context('spawn')
    columns = (TextColumn('{task.description:<44}'), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    from sola_plugin.apis.watch_demo import num_stages

    with context.Manager() as manager, Progress(*columns) as progress, ProcessPoolExecutor(
            min(args.jobs, args.seeds), mp_context=context, max_tasks_per_child=1) as pool:
        queue = manager.Queue()
        task = progress.add_task('starting', total=args.seeds * num_stages(args.heads))
        futures = {pool.submit(work, seed, args, queue): seed for seed in range(args.seeds)}
        pending = set(futures)
        while pending:
            try:
                progress.update(task, advance=1, description=queue.get(timeout=0.5))
            except Empty:
                pending = {future for future in pending if not future.done()}
        for future in as_completed(futures):
            if future.exception() is not None:
                log = args.work_dir / f'seed{futures[future]}' / 'log.txt'
                raise SystemExit(f'seed {futures[future]} failed: {future.exception()}. Its log: {log}')
    return [future.result() for future in futures]


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
