"""Localize the actions of one video: from features to detections."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from sola_plugin.commands.testing import check_fits, linear_classifier
from sola_plugin.datasets.features.lazy import LazyFeatures, stored_features
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.evaluation.classifiers import StoredClassifier
from sola_plugin.heads import TEM, TCANet
from sola_plugin.heads.shared.map_head import MapHead
from sola_plugin.necks.checkpoint import read_checkpoint
from sola_plugin.pretraining.agreement import check_agreement, take_classes

from .video_features import (
    TimeAxis,
    array_features,
    check_length,
    dataset_options,
    open_feature_file,
    time_axis,
)

#: A cell of a resized video that is longer, in snippets, gets a warning.
_LONG_CELL = 8
#: Snippets that a localizer may take at once without a warning.
_MANY_SNIPPETS = 20_000


def load_localizer(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    device: str | torch.device = 'cpu',
    classes: Mapping[str, str] | None = None,
) -> nn.Module:
    """Build a trained localizer.

    Args:
        config: The config that it was trained with.
        checkpoint: Its weights; read weights-only.
        device: Where it computes.
        classes: Take the classes of the checkpoint instead of the config's, these under new names.

    Returns:
        The localizer in evaluation mode, with the attributes ``cfg``, the config, and
        ``dataset_meta``, what the checkpoint says of the training data.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The checkpoint does not fit the model.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(os.fspath(config))
    if cfg.get('model') is None:
        raise ValueError(
            f'{cfg.filename}: expected the config of a localizer, got one without a model'
        )
    if classes is not None:
        take_classes(read_checkpoint(os.fspath(checkpoint)), cfg, checkpoint, classes)
    model = MODELS.build(cfg.model)
    content = check_fits(model, checkpoint)
    check_agreement(content, cfg, checkpoint, renames=classes)
    loaded = load_checkpoint(model, os.fspath(checkpoint), map_location='cpu', logger='silent')
    model.cfg = cfg
    model.dataset_meta = dict(loaded.get('meta', {}).get('dataset_meta') or {})
    return model.to(device).eval()


def localize(
    model: nn.Module,
    features: Any,
    *,
    feature_stride: float | None = None,
    feature_offset: float | None = None,
    duration: float | None = None,
    name: str | None = None,
    classifier: Any = None,
    layout: str | None = None,
    key: str | None = None,
) -> list[dict]:
    """Detections of one video.

    A localizer with windows reads the features window by window: of a ``.npy`` or ``.h5`` file, or
    of a memory-mapped array, only some snippets are in memory.

    Args:
        model: Result of :func:`load_localizer`.
        features: Features of the video ``(C, T)``, array or tensor; or the path of a feature file,
            of either orientation.
        feature_stride: Seconds between two snippets. ``None``: that of the model's config; if it
            has none either, the features cover the whole video, and ``duration`` is needed.
        feature_offset: Second at which the first snippet starts. ``None``: that of the model's
            config if the stride is, else 0.
        duration: Length of the video in seconds. ``None``: to the end of the features.
        name: Of the video, for messages and for classifiers that know videos by their ids.
            ``None``: that of the file.
        classifier: Gives class-agnostic proposals their labels, see :func:`find_classifier`.
        layout: Orientation of a file, ``'TC'`` or ``'CT'``. ``None``: that of the model's config,
            or what the number of channels tells.
        key: Name of the array in a file that holds several.

    Returns:
        ``dict(segment=[start, end], label=str, score=float)`` each, seconds, best first. Proposals
        whose classes nothing tells have no ``label``; of a localizer of one class, they have its.

    Raises:
        FeatureError: The features cannot be read, have other channels than the model, no snippets,
            or values that are not finite.
        ValueError: The time axis is not known, or the model is no localizer.

    Example:
        >>> import numpy as np, sola_plugin, torch
        >>> model = MODELS.build(dict(
        ...     type='ActionFormer', feat_dim=8, classes=['jump'],
        ...     pyramid=dict(channels=8, num_levels=2, windows=3),
        ...     post_processing=dict(min_score=0., min_length=-1.)))
        >>> best, *_ = localize(model.eval(), np.zeros((8, 40)), feature_stride=0.5)
        >>> sorted(best), best['label']
        (['label', 'score', 'segment'], 'jump')
    """
    options = dataset_options(getattr(model, 'cfg', None))
    if isinstance(features, (str, os.PathLike)):
        store, own_name = open_feature_file(features, reading_options(model, layout, key))
        name, features = name or own_name, stored_features(store, own_name)
    name = name or 'the video'
    if not isinstance(features, LazyFeatures):
        features = array_features(features, name)
    axis = time_axis(name, features.shape[1], options, feature_stride, feature_offset, duration)
    check_length(name, features.shape[1], axis)
    return detect_actions(model, features, axis, name, classifier)


def detect_actions(
    model: nn.Module, features: LazyFeatures, axis: TimeAxis, name: str, classifier: Any = None
) -> list[dict]:
    """Detections of features whose time axis is known.

    Args:
        model: See :func:`localize`.
        features: ``(C, T)``.
        axis: Where they lie.
        name: Of the video.
        classifier: See :func:`localize`.

    Returns:
        See :func:`localize`.

    Raises:
        FeatureError: The features cannot be read or have other channels than the model.
        ValueError: The model is no localizer, or the classifier does not know the video.
    """
    channels = getattr(model, 'channels', None)
    if channels is not None and features.shape[0] != channels:
        hint = ': pass features.T' if features.shape[1] == channels else ''
        raise FeatureError(
            f'features of {name!r} are {features.shape}, the localizer expects '
            f'({channels}, T){hint}'
        )
    proposals = _predict(model, features, axis, name)
    if not proposals or 'label' in proposals[0]:
        return proposals
    if classifier is None:
        known = class_names(model)
        only = dict(label=known[0]) if len(known) == 1 else {}
        return [{**proposal, **only} for proposal in proposals]
    detections = classifier.classify(name, features, axis.span, proposals)
    return sorted(detections, key=lambda detection: -detection['score'])


def _predict(model: nn.Module, features: LazyFeatures, axis: TimeAxis, name: str) -> list[dict]:
    """Proposals, or detections, of a localizer."""
    if isinstance(model, (TEM, TCANet)):
        raise ValueError(
            f'{type(model).__name__} does not propose segments by itself, it is a stage of '
            'another localizer: take BMN, GTAD or ActionFormer'
        )
    _warn_of_length(model, features.shape[1], axis, name)
    sample = ActionDataSample(
        metainfo=dict(video_name=name, duration=axis.duration, feature_span=axis.span)
    )
    inputs: Any = features
    if getattr(model, 'windows', None) is None:
        inputs = torch.from_numpy(features[:, :]).to(next(model.parameters()).device)
    with torch.no_grad():
        (result,) = model([inputs], [sample], mode='predict')
    return result['proposal_list']


def _warn_of_length(model: nn.Module, length: int, axis: TimeAxis, name: str) -> None:
    """Say where the length of a video asks for windows."""
    cells = getattr(model, 'cells', None)
    if cells is not None and length > _LONG_CELL * cells:
        seconds = (axis.span[1] - axis.span[0]) / cells
        option = (
            f'model.windows.stride={max(cells // 2, 1)}'
            if isinstance(model, MapHead)
            else 'model.temporal_dim=None model.windows.length=4096'
        )
        print_log(
            f'{name}: {length} snippets are resized to {cells} cells of {seconds:.1f} s, and '
            'shorter '
            'actions cannot be found. For long videos train and test the localizer with '
            f'--cfg-options {option} (docs/config.md)',
            'current',
            logging.WARNING,
        )
    elif cells is None and getattr(model, 'windows', None) is None and length > _MANY_SNIPPETS:
        print_log(
            f'{name}: all {length} snippets are predicted at once. In bounded memory: '
            '--cfg-options model.windows.length=4096 (docs/config.md)',
            'current',
            logging.WARNING,
        )


def reading_options(
    model: nn.Module, layout: str | None = None, key: str | None = None
) -> dict[str, Any]:
    """How feature files for a localizer are read.

    Args:
        model: Result of :func:`load_localizer`.
        layout: ``'TC'`` or ``'CT'``; ``None``: that of its test dataset.
        key: Name of the array; ``None``: that of its test dataset.

    Returns:
        Options of :func:`~sola_plugin.datasets.features.open.open_features`.
    """
    options = dataset_options(getattr(model, 'cfg', None))
    return dict(
        key=key or options.get('key'),
        layout=layout or options.get('layout'),
        crops=options.get('crops'),
        crop_axis=options.get('crop_axis', 1),
        feat_dim=getattr(model, 'channels', None),
    )


def class_names(model: nn.Module) -> tuple[str, ...]:
    """Classes that a localizer was trained on.

    Args:
        model: Result of :func:`load_localizer`.

    Returns:
        Those of the model, else of its training data, else of its config; empty if nothing tells.
    """
    known: Sequence[str] = (
        getattr(model, 'classes', None)
        or getattr(model, 'dataset_meta', {}).get('classes')
        or dataset_options(getattr(model, 'cfg', None)).get('classes')
        or ()
    )
    return tuple(known)


def find_classifier(model: nn.Module, folder: str | os.PathLike) -> Any:
    """What gives the proposals of a class-agnostic localizer their labels, as in ``tools/test.py``.

    That is the classifier of the config's ``TALMetric`` or else a linear classifier:
    ``classifier.npz`` in ``folder``, which ``tools/test.py`` leaves there, if it is of the same
    training data, or one that is fitted now and stored there.

    Args:
        model: Result of :func:`load_localizer`.
        folder: The work dir of the localizer, where its checkpoint is.

    Returns:
        An object with ``classify``, see :mod:`~sola_plugin.evaluation.classifiers`; ``None`` for a
        localizer that needs none, because it has classes, or only one.

    Raises:
        FeatureError, FileNotFoundError, ValueError: The training data cannot be used.
    """
    if getattr(model, 'classes', None) is not None or len(class_names(model)) == 1:
        return None
    cfg: Any = model.cfg
    evaluators = cfg.get('test_evaluator') or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else evaluators
    for evaluator in evaluators:
        if evaluator['type'] == 'TALMetric' and evaluator.get('classifier') is not None:
            return TASK_UTILS.build(dict(evaluator['classifier']))
    fitted = TASK_UTILS.build(linear_classifier(cfg, folder))
    if Path(fitted.save_to).is_file():
        stored = StoredClassifier(fitted.save_to, fitted.top_k)
        if stored.model.settings == fitted.settings:
            return stored
    _ = (
        fitted.model
    )  # fitted here, so that what is wrong with the training data is said before any video
    return fitted
