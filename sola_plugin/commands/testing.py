"""Test a localizer: detections, mAP and AR@AN."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from sola_plugin.io import naming_file
from sola_plugin.necks.checkpoint import changed_necks, weights_of
from sola_plugin.pretraining.runs import run_test

from .cli import build_runner


def test_localizer(
    cfg: Config, checkpoint: str | os.PathLike, scores: str | None = None, dump: str | None = None
) -> dict[str, float]:
    """Test a localizer and write ``detections.json`` and ``metrics.json`` to the work dir.

    A linear classifier that is fitted for it stays there as ``classifier.npz``.

    Args:
        cfg: Runner config. Its ``TALMetric`` is used, or a default one when it has none
            (mmaction2's ``ANetMetric`` knows no mAP and cuts video ids).
        checkpoint: Weights of the localizer.
        scores: File of video classification scores that gives class-agnostic proposals their
            labels; without one, a linear classifier is fitted on the training features.
        dump: ``.pkl`` file for the raw predictions.

    Returns:
        Figures by name, such as ``{'TAL/mAP': 0.559, 'TAL/mAP@0.5': ...}``; fractions.

    Raises:
        ValueError: The checkpoint does not fit the model, or ``dump`` is no ``.pkl``.
    """
    if dump is not None and not dump.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--dump expects a .pkl file, got {dump}')
    metric = _tal_metric(cfg)
    metric.setdefault('detections_file', str(Path(cfg.work_dir) / 'detections.json'))
    metric.setdefault('metrics_file', str(Path(cfg.work_dir) / 'metrics.json'))
    if scores is not None:
        metric['classifier'] = dict(type='ScoreFile', path=scores)
    elif metric.get('classifier') is None:
        metric['classifier'] = linear_classifier(cfg, cfg.work_dir)
    evaluators: list[dict] = [metric]
    if dump is not None:
        evaluators.append(dict(type='DumpResults', out_file_path=dump))
    cfg.test_evaluator = evaluators
    cfg.load_from, cfg.resume = os.fspath(checkpoint), False
    with naming_file(cfg.work_dir):
        runner = build_runner(cfg)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_fits(model, checkpoint)
        return run_test(runner)


def _tal_metric(cfg: Config) -> dict:
    evaluators = cfg.get('test_evaluator') or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else list(evaluators)
    for evaluator in evaluators:
        if evaluator['type'] == 'TALMetric':
            return dict(evaluator)
    print_log(
        f'the config has {[e["type"] for e in evaluators]} as test_evaluator; TALMetric takes its '
        'place',
        'current',
    )
    return dict(type='TALMetric')


def linear_classifier(cfg: Config, folder: str | os.PathLike) -> dict:
    """Config of what gives class-agnostic proposals their labels when there are no score files.

    Args:
        cfg: Runner config.
        folder: Where the fitted weights go, as ``classifier.npz``.

    Returns:
        A ``LinearClassifier`` of the training videos through the test pipeline: no augmentation,
        and all the meta information.

    Raises:
        ValueError: The config has no training data.
    """
    if cfg.get('train_dataloader') is None:
        raise ValueError(
            'the config has no train_dataloader: there is nothing to fit a linear classifier on'
        )
    dataset = dict(cfg.train_dataloader.dataset)
    pipeline = cfg.test_dataloader.dataset.get('pipeline')
    if pipeline is not None:
        dataset['pipeline'] = pipeline
    return dict(
        type='LinearClassifier', dataset=dataset, save_to=str(Path(folder) / 'classifier.npz')
    )


def check_fits(model: nn.Module, checkpoint: str | os.PathLike, part_of: bool = False) -> None:
    """Refuse a checkpoint that mmengine would load in part, leaving random weights.

    Args:
        model: The model.
        checkpoint: File name.
        part_of: The model is a part of a published one: the checkpoint may hold more, and may lack
            buffers that are the same in every such model. Parameters and running statistics must be
            there.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file holds no weights, keys are missing or not expected, shapes differ, or
            the neck is another one (:class:`~sola_plugin.necks.Neck`).
    """
    path = os.fspath(checkpoint)
    try:
        loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except FileNotFoundError:
        raise FileNotFoundError(f'checkpoint {path} does not exist') from None
    except Exception as error:  # torch raises many kinds for a torn file
        raise ValueError(f'cannot read the checkpoint {path}: {error}. Is it complete?') from error
    state = weights_of(loaded, path)
    own = model.state_dict()
    problems = [
        f'{key}: {tuple(state[key].shape)}, expected {tuple(value.shape)}'
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    constant = {
        name
        for name, _ in model.named_buffers()
        if part_of and not name.endswith(('running_mean', 'running_var'))
    }
    problems += [f'{key}: missing' for key in own if key not in state and key not in constant]
    if not part_of:
        problems += [f'{key}: not expected' for key in state if key not in own]
    problems += changed_necks(model, state)
    if problems:
        more = f' and {len(problems) - 5} more' if len(problems) > 5 else ''
        raise ValueError(
            f'the checkpoint {path} does not fit the model of the config: '
            f'{"; ".join(problems[:5])}{more}. Take the config that it was trained with'
        )
