"""Advice from the training data of a config: what ``tools/recommend.py`` does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config

from sola_plugin.commands.probing.methods import (
    BASELINE,
    EDGES,
    NECKS,
    Comparison,
    fitted_neck,
    probe_sizes,
)
from sola_plugin.datasets.tal_dataset import TALFeatureDataset
from sola_plugin.datasets.transforms import snippet_span
from sola_plugin.evaluation.probe.linear_probe import DEFAULT_C, ProbeData, probe_over_seeds
from sola_plugin.pretraining.probe import build_probe_dataset, read_probe_data
from sola_plugin.progress import Show

from .advice import Advice
from .length_rules import Grid
from .measures import (
    FeatureStatistics,
    Lengths,
    Similarity,
    feature_statistics,
    measure_similarity,
    standardized,
)
from .rules import recommend

#: Videos that are read, evenly over the data set; more would change little and fill the memory.
MAX_VIDEOS = 200
#: Bootstrap samples of the training videos of the probe.
_SEEDS = range(5)


@dataclass(frozen=True)
class Recommendation:
    """Measures of the training data, and what follows from them.

    Attributes:
        statistics, similarity, lengths: See :mod:`.measures`.
        probe: Linear probes of the raw features and of necks without training: fitted on every
            other training video, scored on those between; ``None``: it cannot be done.
        no_probe: Why not.
        advice: See :func:`.rules.recommend`.
        example: Features ``(T, C)`` of the first video, raw and standardised, and its metainfo.
    """

    statistics: FeatureStatistics
    similarity: Similarity
    lengths: Lengths
    probe: Comparison | None
    no_probe: str
    advice: tuple[Advice, ...]
    example: tuple[np.ndarray, np.ndarray, Mapping[str, Any]]


def recommend_for(
    cfg: Config, max_videos: int = MAX_VIDEOS, show: Show | None = None
) -> Recommendation:
    """Measure the training data of a localizer's config. Test data are not read.

    Args:
        cfg: With a ``train_dataloader`` that has a ``TALFeatureDataset``; its model, where it has
            one, is asked for its grid only.
        max_videos: Videos that are read at most.
        show: Told of every step.

    Raises:
        AnnotationError, FeatureError: The data cannot be used.
        ValueError: The config has no such data, or they are too few or too short.
    """
    loader = cfg.get('train_dataloader')
    if loader is None or 'ann_file' not in loader.dataset:
        raise ValueError(
            f'{cfg.filename}: expected a train_dataloader with an annotated TALFeatureDataset; '
            'take the config of a localizer, such as configs/localization/bmn_watch.py'
        )
    tell = show or (lambda *_: None)
    dataset = build_probe_dataset(loader.dataset, 'train')
    dataset.full_init()
    if len(dataset) > max_videos:
        dataset.get_subset_(np.linspace(0, len(dataset) - 1, max_videos).astype(int).tolist())
    tell('features', 0, 3)
    data = read_probe_data(dataset)
    videos = np.split(data.features, np.flatnonzero(np.diff(data.videos)) + 1)
    lengths = _lengths(dataset, [len(video) for video in videos])
    tell('similarity', 1, 3)
    statistics, similarity = feature_statistics(videos), measure_similarity(videos)
    tell('probe', 2, 3)
    probe, no_probe = _probe(dataset, data)
    accuracy = None if probe is None else _near_and_far(probe)
    advice = recommend(statistics, similarity, lengths, accuracy, _grid(cfg))
    tell('done', 3, 3)
    meta = dataset.get_data_info(0)
    span = _span(meta, len(videos[0]))
    example = videos[0], standardized(videos)[0], dict(meta, feature_span=span)
    return Recommendation(statistics, similarity, lengths, probe, no_probe, tuple(advice), example)


def _lengths(dataset: TALFeatureDataset, snippets: Sequence[int]) -> Lengths:
    segments, of_video = [], []
    for index, length in enumerate(snippets):
        info = dataset.get_data_info(index)
        start, end = _span(info, length)
        segments += [(b - a) / (end - start) * length for a, b in info['gt_segments']]
        of_video += [length] * len(info['gt_segments'])
    if not segments:
        raise ValueError(f'{dataset.ann_file}: no segment is left to give advice on')
    return Lengths(np.array(segments), np.array(of_video, float), np.array(snippets, float))


def _span(info: Mapping[str, Any], length: int) -> tuple[float, float]:
    return snippet_span(
        length,
        info['duration'],
        info['feature_stride'],
        info['feature_offset'],
        info['feature_span'],
    )


def _probe(dataset: TALFeatureDataset, data: ProbeData) -> tuple[Comparison | None, str]:
    """Fit on every other training video, score on the others."""
    if data.num_videos < 4:
        return None, f'the linear probe needs 4 training videos, there are {data.num_videos}'
    modules = {BASELINE: None} | {name: fitted_neck(kind, dataset) for name, kind in NECKS.values()}
    try:
        probes = {}
        for name, module in modules.items():
            read = data if module is None else read_probe_data(dataset, module)
            halves = _half(read, 0), _half(read, 1)
            probes[name] = probe_over_seeds(*halves, _SEEDS, EDGES, balanced=True)
    except ValueError as error:
        return None, f'no linear probe: {error}'
    sizes = dict(train=probe_sizes(halves[0]), test=probe_sizes(halves[1]))
    edges = tuple(map(float, EDGES))
    return Comparison(probes, {}, DEFAULT_C, tuple(_SEEDS), edges, 'snippets', sizes, True), ''


def _near_and_far(probe: Comparison) -> tuple[float, float] | None:
    """Accuracy within 2 snippets of a boundary and from 4 on; both sides of it weigh the same."""
    edges, raw = np.array(probe.edges), probe.methods[BASELINE]
    found = []
    for low, high in ((0, 2), (4, np.inf)):
        sides = []
        for kind, values in raw.by_distance.items():
            for inside in (
                (edges[:-1] >= low) & (edges[1:] <= high),
                (edges[:-1] >= -high) & (edges[1:] <= -low),
            ):
                number = raw.counts[kind][inside]
                if number.sum():
                    mean = np.nan_to_num(values.mean(axis=0)[inside])
                    sides.append(float((mean * number).sum() / number.sum()))
        if not sides:
            return None
        found.append(float(np.mean(sides)))
    return found[0], found[1]


def _half(data: ProbeData, odd: int) -> ProbeData:
    chosen = data.videos % 2 == odd
    part = {field.name: getattr(data, field.name)[chosen] for field in dataclasses.fields(data)}
    return ProbeData(**{**part, 'videos': part['videos'] // 2})


def _grid(cfg: Config) -> Grid | None:
    """Of a head with a map; ``None`` for others, whose longest proposals have no end."""
    model: Mapping[str, Any] = cfg.get('model') or {}
    if model.get('type') not in ('BMN', 'GTAD') or not model.get('temporal_dim'):
        return None
    cells = int(model['temporal_dim'])
    duration = model.get('max_duration') or cells
    return Grid(None if model.get('windows') else cells, int(duration))
