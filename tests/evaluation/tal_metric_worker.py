"""One rank of a two-process run: ``tal_metric_worker.py RANK FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch.distributed as dist
from toy_videos import feed, make_videos

from sola_plugin.evaluation.tal_metric import TALMetric

if __name__ == '__main__':
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    videos = make_videos(7, labelled=True)
    # What DistributedSampler does: every second video, the last rank padded with the first video.
    metric = TALMetric(
        metrics=('mAP', 'AR', 'Recall@kx'),
        detections_file=folder / 'detections.json',
        metrics_file=folder / 'metrics.json',
    )
    feed(metric, [*videos, videos[0]][rank::2], batch_size=3)
    figures = metric.evaluate(len(videos))
    (folder / f'rank{rank}.json').write_text(json.dumps(figures))
    # An error on the main rank reaches the other one, which waits for the figures.
    metric = TALMetric(metrics='mAP')
    feed(metric, make_videos(4, labelled=False)[rank::2], batch_size=1)
    try:
        metric.evaluate(4)
    except Exception as error:
        (folder / f'error{rank}.txt').write_text(f'{type(error).__name__}: {error}')
    dist.destroy_process_group()
