"""Test a localizer: detections, mAP and AR@AN."""
from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from .training import build_runner


def test_localizer(cfg: Config, checkpoint: str | os.PathLike, scores: str | None = None,
                   dump: str | None = None) -> dict[str, float]:
    """Test a localizer and write ``detections.json`` and ``metrics.json`` to the work dir.

    Args:
        cfg: Runner config. Its ``TALMetric`` is used, or a default one when it has none (mmaction2's
            ``ANetMetric`` knows no mAP and cuts video ids).
        checkpoint: Weights of the localizer.
        scores: File of video classification scores that gives class-agnostic proposals their labels;
            without one, a linear classifier is fitted on the training features.
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
        metric['classifier'] = dict(type='LinearClassifier', dataset=_labelled_features(cfg))
    evaluators: list[dict] = [metric]
    if dump is not None:
        evaluators.append(dict(type='DumpResults', out_file_path=dump))
    cfg.test_evaluator = evaluators
    cfg.load_from, cfg.resume = os.fspath(checkpoint), False
    runner = build_runner(cfg)
    check_fits(runner.model.module if is_model_wrapper(runner.model) else runner.model, checkpoint)
    return runner.test()


def _tal_metric(cfg: Config) -> dict:
    evaluators = cfg.get('test_evaluator') or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else list(evaluators)
    for evaluator in evaluators:
        if evaluator['type'] == 'TALMetric':
            return dict(evaluator)
    print_log(f'the config has {[e["type"] for e in evaluators]} as test_evaluator; TALMetric takes its '
              'place', 'current')
    return dict(type='TALMetric')


def _labelled_features(cfg: Config) -> dict:
    """Training videos through the test pipeline: no augmentation, and all the meta information."""
    dataset = dict(cfg.train_dataloader.dataset)
    pipeline = cfg.test_dataloader.dataset.get('pipeline')
    return dataset if pipeline is None else dict(dataset, pipeline=pipeline)


def check_fits(model: nn.Module, checkpoint: str | os.PathLike) -> None:
    """Refuse a checkpoint that mmengine would load in part, leaving random weights.

    Args:
        model: The model.
        checkpoint: File name.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Keys are missing or not expected, or shapes differ.
    """
    path = os.fspath(checkpoint)
    try:
        loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except FileNotFoundError:
        raise FileNotFoundError(f'checkpoint {path} does not exist') from None
    except Exception as error:  # torch raises many kinds for a torn file
        raise ValueError(f'cannot read the checkpoint {path}: {error}. Is it complete?') from error
    state = loaded.get('state_dict', loaded)
    own = model.state_dict()
    problems = [f'{key}: {tuple(state[key].shape)}, expected {tuple(value.shape)}'
                for key, value in own.items() if key in state and state[key].shape != value.shape]
    problems += [f'{key}: missing' for key in own if key not in state]
    problems += [f'{key}: not expected' for key in state if key not in own]
    if problems:
        more = f' and {len(problems) - 5} more' if len(problems) > 5 else ''
        raise ValueError(f'the checkpoint {path} does not fit the model of the config: '
                         f'{"; ".join(problems[:5])}{more}. Test with the config that it was trained with')
