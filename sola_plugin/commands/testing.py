"""Test a localizer: detections, mAP and AR@AN."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from sola_plugin.evaluation.score_files import ScoreFile
from sola_plugin.io import naming_file
from sola_plugin.necks.checkpoint import (
    CheckpointError,
    changed_necks,
    read_checkpoint,
    weights_of,
)
from sola_plugin.pretraining.agreement import check_agreement, take_classes
from sola_plugin.pretraining.finiteness import check_finite
from sola_plugin.pretraining.runs import build_runner, run_test


def test_localizer(
    cfg: Config,
    checkpoint: str | os.PathLike,
    scores: str | None = None,
    dump: str | None = None,
    score_transform: str | None = None,
    classes: Mapping[str, str] | None = None,
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
        score_transform: What makes probabilities of the scores, see
            :class:`~sola_plugin.evaluation.score_files.ScoreFile`.
        classes: Take the classes of the checkpoint instead of the config's, these under new names;
            see :func:`~sola_plugin.pretraining.agreement.take_classes`.

    Returns:
        Figures by name, such as ``{'TAL/mAP': 0.559, 'TAL/mAP@0.5': ...}``; fractions.

    Raises:
        CheckpointError: The checkpoint cannot be read, or does not fit the model.
        FileNotFoundError: There is no such checkpoint.
        ValueError: ``dump`` is no ``.pkl``.
    """
    if dump is not None and not dump.endswith(('.pkl', '.pickle')):
        raise ValueError(f'--dump expects a .pkl file, got {dump}')
    if classes is not None:
        take_classes(read_checkpoint(os.fspath(checkpoint)), cfg, checkpoint, classes)
    metric = _tal_metric(cfg)
    metric.setdefault('detections_file', str(Path(cfg.work_dir) / 'detections.json'))
    metric.setdefault('metrics_file', str(Path(cfg.work_dir) / 'metrics.json'))
    if scores is not None:
        metric['classifier'] = dict(type='ScoreFile', path=scores, transform=score_transform)
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
        check_agreement(check_fits(model, checkpoint), cfg, checkpoint, renames=classes)
        _check_scores(runner)
        return run_test(runner)


def _check_scores(runner: Runner) -> None:
    """See before the test whether all videos have scores."""
    dataset = runner.test_dataloader.dataset
    names = [dataset.get_data_info(index).get('video_name') for index in range(len(dataset))]
    for metric in runner.test_evaluator.metrics:
        if isinstance(classifier := getattr(metric, 'classifier', None), ScoreFile):
            classifier.check_videos(filter(None, names))


def _tal_metric(cfg: Config) -> dict:
    evaluators = cfg.get('test_evaluator') or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else list(evaluators)
    for evaluator in evaluators:
        # A config in pure Python has the class, or where it lies.
        kind = evaluator['type']
        name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
        if name.rpartition('.')[2] == 'TALMetric':
            return dict(evaluator, type='TALMetric')
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
    dataset.pop('pipeline', None)  # which may crop
    if pipeline is not None:
        dataset['pipeline'] = pipeline
    return dict(
        type='LinearClassifier', dataset=dataset, save_to=str(Path(folder) / 'classifier.npz')
    )


def check_fits(model: nn.Module, checkpoint: str | os.PathLike, part_of: bool = False) -> Any:
    """Refuse a checkpoint that mmengine would load in part, leaving random weights.

    The model's own loading is asked, so that whatever it adapts, such as the masks of mmaction2's
    BMN, fits.

    Args:
        model: The model; afterwards it has what fits of the weights.
        checkpoint: File name.
        part_of: The model is a part of a published one: the checkpoint may hold more, and may lack
            buffers that are the same in every such model. Parameters and running statistics must be
            there.

    Returns:
        What the file holds.

    Raises:
        CheckpointError: It cannot be read, keys are missing or not expected, shapes differ, or
            weights are not finite.
        FileNotFoundError: No such file.
    """
    path = os.fspath(checkpoint)
    try:
        content = read_checkpoint(path)
        state = weights_of(content, path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    fit_weights(model, state, path, part_of)
    return content


def fit_weights(
    model: nn.Module, state: Mapping[str, Tensor], path: str, part_of: bool = False
) -> None:
    """Load weights, all or none; see :func:`check_fits`.

    Args:
        model: The model.
        state: The weights.
        path: Where they are from, for messages.
        part_of: See there.

    Raises:
        CheckpointError: See there.
    """
    problems = changed_necks(model, state)  # which the neck itself would refuse to load
    missing, unexpected, others = ([], [], []) if problems else _load(model, state)
    problems += others
    constant = {
        name
        for name, _ in model.named_buffers()
        if part_of and not name.endswith(('running_mean', 'running_var'))
    }
    problems += [f'{key}: missing' for key in missing if key not in constant]
    if not part_of:
        problems += [f'{key}: not expected' for key in unexpected]
    if problems:
        more = f' and {len(problems) - 5} more' if len(problems) > 5 else ''
        raise CheckpointError(
            f'the checkpoint {path} does not fit the model of the config: '
            f'{"; ".join(problems[:5])}{more}. Take the config that it was trained with'
        )
    check_finite(model, path)


def _load(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """Load weights as mmengine does: keys that are missing, those not expected, other problems."""
    # Of a model that was saved with the wrapper of its ranks.
    stripped = OrderedDict((key.removeprefix('module.'), value) for key, value in state.items())
    if hasattr(state, '_metadata'):
        stripped._metadata = state._metadata  # type: ignore[attr-defined]
    found: list[Any] = []
    handle = model.register_load_state_dict_post_hook(lambda _, keys: found.append(keys))
    problems: list[str] = []
    try:
        model.load_state_dict(stripped, strict=False)
    except RuntimeError as error:
        if not found:
            raise
        problems = [_SHAPES.sub(_shapes, line.strip()) for line in str(error).splitlines()[1:]]
    finally:
        handle.remove()
    return list(found[-1].missing_keys), list(found[-1].unexpected_keys), problems


#: How PyTorch says that a weight has another shape.
_SHAPES = re.compile(
    r'size mismatch for (\S+): copying a param with shape torch\.Size\(\[([\d, ]*)\]\) from '
    r'checkpoint, the shape in current model is torch\.Size\(\[([\d, ]*)\]\)\.'
)


def _shapes(match: re.Match) -> str:
    return f'{match[1]}: ({match[2]}), expected ({match[3]})'
