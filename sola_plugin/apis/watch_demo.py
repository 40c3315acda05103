"""The main job on the embedded data: heads on raw features, on trivially changed ones, and with SoLa."""
from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.runner.checkpoint import load_checkpoint

from sola_plugin.datasets.watch import VALIDATION, prepare_watch
from sola_plugin.engine import pretrain
from sola_plugin.evaluation.linear_probe import linear_probe, snippet_labels
from sola_plugin.models.localizers import NeckMixin
from sola_plugin.models.necks import read_sola

from .stages import run_stage
from .testing import test_localizer
from .training import train_localizer

#: The strongest trivial method, which differences are taken to.
BASELINE = 'standardised'
#: Head → start of the names of its configs in ``configs/localization``; method → their end.
HEADS = {'BMN': 'bmn_watch', 'G-TAD': 'gtad_watch', 'ActionFormer': 'actionformer_watch'}
METHODS = {
    'raw features': '',
    'mean of 3 snippets': '_smoothing',
    'standardised': '_standardization',
    'SoLa, frozen': '_sola',
    'SoLa, fine-tuned': '_sola_finetune',
}


@dataclass(frozen=True)
class Regime:
    """What is trained and tested on; see docs/watch.md.

    Attributes:
        split: ``'time'``: the same subjects in training and testing; ``'subject'``: others.
        labelled: Training streams with labels, of 56.
        encoder_classes: Exercises that the frozen encoder was trained to classify.
        validation: Cut everything from the training part, for choosing settings.
    """

    split: str = 'time'
    labelled: int = 14
    encoder_classes: tuple[str, ...] = ('IR', 'ER', 'TRAP')
    validation: bool = False


def run_seed(seed: int, folder: Path, configs: Path, regime: Regime,
             pretrain_config: str = 'pretrain/sola_watch.py', heads: Sequence[str] = tuple(HEADS),
             report: Callable[[str], None] = print) -> dict[str, dict[str, dict[str, float]]]:
    """Prepare data, train SoLa, then train, test and probe every method with every head.

    Args:
        seed: Of the data (subjects, streams, encoder), of SoLa and of the heads.
        folder: Where everything of this seed is written. Finished stages are not done again.
        configs: The project's ``configs``.
        regime: See :class:`Regime`.
        pretrain_config: Similarity matching, relative to ``configs``.
        heads: Some of :data:`HEADS`.
        report: Called with the name of each stage when it is over, :func:`num_stages` times.

    Returns:
        For each head and method: ``probe``, ``AR@10``, ``AR@100``, ``mAP``, ``mAP@0.5`` (fractions),
        ``pretrain_seconds`` (with SoLa), ``train_seconds``, ``test_seconds``.
    """
    data = folder / 'data'
    options = {key: value for key, value in asdict(regime).items() if key != 'validation'}
    options.update(VALIDATION if regime.validation else {})
    run_stage(folder / 'prepare', f'{seed} {options}',
              lambda: prepare_watch(data, seed, force=True, **options).encoder)
    report('prepare')

    sola = Config.fromfile(configs / pretrain_config)
    sola.train_dataloader.dataset.features.data_root = str(data)
    pretrained = run_stage(folder / 'sola', _settings(sola, seed, regime),
                           lambda: dict(path=str(pretrain(_run_config(sola, folder / 'sola', seed)))))
    report('similarity matching')

    figures: dict[str, dict[str, dict[str, float]]] = {head: {} for head in heads}
    for head, method in itertools.product(heads, METHODS):
        name = config_name(head, method)
        cfg = Config.fromfile(configs / 'localization' / f'{name}.py')
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            loader.dataset.data_root = str(data)
        work_dir = folder / name
        with_sola = cfg.model.get('neck', {}).get('type') == 'SoLa'
        if with_sola:
            cfg.model.neck.update(sola.model.neck)
            cfg.model.neck.init_cfg.checkpoint = pretrained['path']
        settings = _settings(cfg, seed, regime) + (_settings(sola, seed, regime) if with_sola else '')
        result = _train_and_test(_run_config(cfg, work_dir, seed), work_dir, settings, report,
                                 f'{head}, {method}')
        if with_sola:
            result['pretrain_seconds'] = pretrained['seconds']
        figures[head][method] = result
    return figures


def num_stages(heads: Sequence[str]) -> int:
    """Number of stages of a seed with these heads."""
    return 2 + 3 * len(heads) * len(METHODS)


def config_name(head: str, method: str) -> str:
    """Name of the config, and of the folder, of a method with a head."""
    return HEADS[head] + METHODS[method]


def _settings(cfg: Config, seed: int, regime: Regime) -> str:
    return f'{cfg.pretty_text}\n{seed} {regime}\n'


def _run_config(cfg: Config, work_dir: Path, seed: int) -> Config:
    cfg = Config(cfg.to_dict())
    cfg.work_dir, cfg.randomness, cfg.resume = str(work_dir / 'run'), dict(seed=seed), True
    return cfg


def _train_and_test(cfg: Config, work_dir: Path, settings: str, report: Callable[[str], None],
                    name: str) -> dict[str, float]:
    """Train, test and probe one localizer, as three stages."""

    def train() -> dict:
        train_localizer(Config(cfg.to_dict()))
        return {}

    trained = run_stage(work_dir / 'train', settings, train)
    report(f'train {name}')
    checkpoint = Path(cfg.work_dir) / f'epoch_{cfg.train_cfg.max_epochs}.pth'
    tested = run_stage(work_dir / 'test', settings,
                       lambda: test_localizer(Config(cfg.to_dict()), checkpoint))
    report(f'test {name}')
    probed = run_stage(work_dir / 'probe', settings, lambda: probe_features(cfg, checkpoint))
    report(f'probe {name}')
    figures = {key: tested[f'TAL/{key}'] for key in ('AR@10', 'AR@100', 'mAP', 'mAP@0.5')}
    return dict(figures, probe=probed['accuracy'], train_seconds=trained['seconds'],
                test_seconds=tested['seconds'])


def probe_features(cfg: Config, checkpoint: Path) -> dict[str, float]:
    """Linear probe of the features that the head of a trained localizer sees.

    Args:
        cfg: Config of the localizer, with ``train_dataloader`` and ``test_dataloader``.
        checkpoint: Its weights.

    Returns:
        See :func:`~sola_plugin.evaluation.linear_probe.linear_probe`.
    """
    model = MODELS.build(cfg.model)
    load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True)
    parts: list[np.ndarray] = []
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build(loader.dataset)
        features, labels = [], []
        for item in dataset:
            meta = item['data_samples'].metainfo
            features.append(neck_features(model, item['inputs']).T)
            labels.append(snippet_labels([a['segment'] for a in meta['annotations']], meta['feature_span'],
                                         item['inputs'].shape[1]))
        parts += [np.concatenate(features), np.concatenate(labels)]
    return linear_probe(parts[0], parts[1], parts[2], parts[3])


@torch.no_grad()
def neck_features(model: NeckMixin, features: torch.Tensor) -> np.ndarray:
    """Features behind the neck of a localizer.

    Args:
        model: A localizer; without a neck the features are returned.
        features: ``(C, T)``.

    Returns:
        ``(C, T)``.
    """
    model.eval()
    return (features if model.neck is None else model.neck(features[None])[0]).numpy()


def matching_losses(folder: Path) -> list[float]:
    """Mean loss of every epoch of similarity matching.

    Args:
        folder: Folder of a seed.

    Returns:
        The losses.
    """
    return read_sola(folder / 'sola/run/sola.pth')['meta']['losses']


def detections_of(folder: Path, head: str, method: str) -> dict[str, list[dict]]:
    """Detections of one method.

    Args:
        folder: Folder of a seed.
        head: A key of :data:`HEADS`.
        method: A key of :data:`METHODS`.

    Returns:
        ``{video: [dict(segment, label, score)]}``.
    """
    path = folder / config_name(head, method) / 'run' / 'detections.json'
    return json.loads(path.read_text(encoding='utf-8'))['results']
