"""BMN against mmaction2's BMN."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import torch
from measure import Row, in_subprocess, milliseconds, peak_memory
from mmaction.models.localizers.bmn import BMN as StockBMN
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData
from torch import nn

from sola_plugin.heads import BMN

CHANNELS, SIZE, BATCH = 400, 100, 8
BMN_CONFIG = dict(
    temporal_dim=SIZE,
    boundary_ratio=0.5,
    num_samples=32,
    num_samples_per_bin=3,
    feat_dim=CHANNELS,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.5,
    soft_nms_high_threshold=0.9,
    post_process_top_k=100,
)
HEADS = str(Path(__file__).with_name('heads.py'))
KINDS = dict(ours=BMN, stock=StockBMN)


@functools.cache
def bmn(kind: str) -> nn.Module:
    """``'ours'`` or ``'stock'``, with the same weights."""
    torch.manual_seed(0)
    return KINDS[kind](**BMN_CONFIG)


@functools.cache
def videos(number: int) -> tuple[list[torch.Tensor], list[ActionDataSample]]:
    """Random features and data samples with one to four actions."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(number):
        segments = np.sort(rng.random((1 + index % 4, 2)), axis=1)
        sample = ActionDataSample()
        sample.gt_instances = InstanceData(gt_bbox=torch.from_numpy(segments))
        sample.set_metainfo(
            dict(video_name=f'v_{index}', duration_frame=1600, duration_second=60.0)
        )
        samples.append(sample)
    return [
        torch.from_numpy(rng.normal(size=(CHANNELS, SIZE)).astype('f4')) for _ in range(number)
    ], samples


def forward(kind: str, batch: int) -> None:
    """Maps of a batch."""
    with torch.no_grad():
        bmn(kind)(videos(batch)[0], None, 'tensor')


@functools.cache
def adam(kind: str) -> torch.optim.Optimizer:
    """The optimizer of mmaction2's config."""
    trained = [p for p in bmn(kind).parameters() if p.requires_grad]
    return torch.optim.Adam(trained, lr=1e-3, weight_decay=1e-4)


def train_step(kind: str) -> None:
    """Labels, loss, backward, clipping and Adam."""
    optimizer = adam(kind)
    optimizer.zero_grad()
    bmn(kind)(*videos(BATCH), 'loss')['loss'].backward()
    nn.utils.clip_grad_norm_(bmn(kind).parameters(), 40)
    optimizer.step()


def peak_rows(repeats: int) -> list[Row]:
    """Peak memory above the imports, each in a process of its own."""
    return [
        Row(
            f'peak memory, {name} batch {BATCH}',
            'MB',
            *(in_subprocess(HEADS, '--peak', kind, name) for kind in KINDS),
            bar,
        )
        for name, bar in (('forward', 15), ('train', 8))
    ]


def print_peak(kind: str, name: str) -> None:
    """What the process of one row prints: MB above the imports."""
    imports = peak_memory()
    if name == 'forward':
        forward(kind, BATCH)
    else:
        train_step(kind)
    print(peak_memory() - imports)


def construction_rows(repeats: int) -> list[Row]:
    """Building the model."""
    times = milliseconds(
        *(functools.partial(model, **BMN_CONFIG) for model in KINDS.values()), repeats
    )
    return [Row('construction', 'ms', *times, 8)]


def checkpoint_rows(repeats: int) -> list[Row]:
    """The stored state dict."""
    sizes = []
    for kind in KINDS:
        file = io.BytesIO()
        torch.save(bmn(kind).state_dict(), file)
        sizes.append(file.tell() / 1e6)
    return [Row('checkpoint', 'MB', *sizes, 5)]


def label_rows(repeats: int) -> list[Row]:
    """Labels of a batch."""
    segments = [sample.gt_instances['gt_bbox'] for sample in videos(BATCH)[1]]
    times = milliseconds(
        *(functools.partial(bmn(kind).generate_labels, segments) for kind in KINDS), repeats
    )
    return [Row(f'label generation, batch {BATCH}', 'ms', *times, 4)]


def postprocessing_rows(repeats: int) -> list[Row]:
    """Proposals in seconds from given maps of random scores; mmaction2 takes one video at a
    time."""
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.rand(BATCH, *shape, generator=generator)
        for shape in ((2, SIZE, SIZE), (SIZE,), (SIZE,))
    ]
    models = {kind: model(**BMN_CONFIG) for kind, model in KINDS.items()}
    for model in models.values():
        model._forward = lambda indices: tuple(m[indices] for m in maps)
    samples = videos(BATCH)[1]

    def ours() -> None:
        models['ours'].predict(torch.arange(BATCH), samples)

    def stock() -> None:
        for index in range(BATCH):
            models['stock'].predict(torch.tensor([index]), samples[index : index + 1])

    return [Row(f'post-processing, {BATCH} videos', 'ms', *milliseconds(ours, stock, repeats), 10)]


def forward_rows(repeats: int) -> list[Row]:
    """Inference up to the maps."""
    return [
        Row(
            f'forward, batch {batch}',
            'ms',
            *milliseconds(*(functools.partial(forward, kind, batch) for kind in KINDS), repeats),
            8,
        )
        for batch in (1, BATCH)
    ]


def train_rows(repeats: int) -> list[Row]:
    """One iteration of training."""
    times = milliseconds(*(functools.partial(train_step, kind) for kind in KINDS), repeats)
    return [Row(f'train step, batch {BATCH}', 'ms', *times, 8)]


#: In the order of the table; a function takes the number of repeats and returns rows.
ROWS = {
    'peak memory': peak_rows,
    'construction': construction_rows,
    'checkpoint': checkpoint_rows,
    'label generation': label_rows,
    'post-processing': postprocessing_rows,
    'forward': forward_rows,
    'train step': train_rows,
}
