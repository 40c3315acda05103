"""Frozen features of one video: a snippet encoder, slid over the frames."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmaction.models.recognizers.base import BaseRecognizer
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor, nn

from sola_plugin.commands.testing import check_fits
from sola_plugin.datasets.video import SnippetSampling, Video, VideoError, frame_rate, read_snippets
from sola_plugin.encoders import RecognizerEncoder

__all__ = [
    'Encoder',
    'SnippetSampling',
    'VideoError',
    'VideoFeatures',
    'build_encoder',
    'build_recognizer_encoder',
    'encode_video',
]

#: Snippets, uint8 RGB ``(N, length, H, W, 3)``, to vectors ``(N, C)``. An ``nn.Module`` is moved to
#: the device and put into evaluation mode. An attribute ``prepare`` (uint8 ``(H, W, 3)`` to ``(H',
#: W', 3)``), if there is one, is applied to each frame as it is read.
Encoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class VideoFeatures:
    """Features of one video and where they lie in time.

    Attributes:
        features: float32 ``(C, T)``.
        stride: Seconds between two snippets: ``feature_stride`` of ``TALFeatureDataset``.
        offset: Second at which the cell of the first snippet starts: its ``feature_offset``.
            Snippet ``i`` is centred at ``offset + (i + 0.5) * stride``.
        duration: Seconds, of the frames that were decoded.
        fps: Frames per second by the header of the file; ``None`` where it says nothing that can be
            true.
    """

    features: np.ndarray
    stride: float
    offset: float
    duration: float
    fps: float | None = None


def build_recognizer_encoder(
    config: str | os.PathLike | Config,
    checkpoint: str | os.PathLike,
    device: str | torch.device = 'cpu',
) -> RecognizerEncoder:
    """Build a frozen encoder out of an mmaction2 recognizer.

    Args:
        config: Config file, one of mmaction2's own by ``mmaction::recognition/...``, or a config.
        checkpoint: Its weights; a file or a URL.
        device: Where it computes.

    Returns:
        The encoder, in evaluation mode and without gradients.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The config is not that of a recognizer of RGB frames, or the checkpoint does not
            fit.
    """
    cfg = config if isinstance(config, Config) else _read_config(os.fspath(config))
    model_cfg = cfg.get('model')
    if model_cfg is None:
        raise ValueError(
            f'{cfg.filename}: expected the config of a recognizer, got one without a model'
        )
    if 'pretrained' in model_cfg.get('backbone', {}):
        model_cfg.backbone.pretrained = None  # some backbones would download it
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(model_cfg)
    if not isinstance(model, BaseRecognizer):
        raise ValueError(
            f'{cfg.filename}: expected the config of a recognizer, got a {type(model).__name__}'
        )
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    pipeline = dataset.get('pipeline') or cfg.get('test_pipeline')
    if not pipeline or dataset.get('modality', 'RGB') != 'RGB':
        raise ValueError(
            f'{cfg.filename}: expected a test_dataloader with a pipeline for RGB frames, got '
            f'{"no pipeline" if not pipeline else "modality " + repr(dataset.modality)}'
        )
    encoder = RecognizerEncoder(model, pipeline)
    check_fits(model, checkpoint, part_of=True)
    load_checkpoint(model, os.fspath(checkpoint), map_location='cpu', logger='silent')
    return _freeze(encoder, device)


def build_encoder(name: str, device: str | torch.device = 'cpu') -> Encoder:
    """Build an encoder of one's own.

    Args:
        name: ``module:function``: the importable function (or class) returns the encoder when it is
            called without arguments. Modules in the working directory are found.
        device: Where it computes.

    Returns:
        See :data:`Encoder`.

    Raises:
        ValueError: There is no such function, or it does not return an encoder.
    """
    module, _, function = name.partition(':')
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        factory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f'encoder {name!r}: expected MODULE:FUNCTION that can be imported, got: {error}'
        ) from error
    encoder = factory()
    if isinstance(encoder, nn.Module):
        return _freeze(encoder, device)
    if not callable(encoder):
        raise ValueError(
            f'encoder {name!r}: expected a function that returns an nn.Module, got a '
            f'{type(encoder).__name__}'
        )
    return encoder


def encode_video(
    path: str | os.PathLike,
    encoder: Encoder,
    sampling: SnippetSampling,
    batch_size: int = 16,
    amp: bool = False,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    allow_short: bool = False,
    progress: Callable[[float], Any] | None = None,
) -> VideoFeatures:
    """Encode the snippets of one video.

    Frames are read one after the other and at most ``batch_size`` snippets are held, however long
    the video is.

    Args:
        path: The video.
        encoder: See :data:`Encoder`.
        sampling: Which frames make a snippet.
        batch_size: Snippets that are encoded at a time.
        amp: Automatic mixed precision.
        prepare: Applied to each frame; ``None``: the encoder's own ``prepare``, if it has one.
        allow_short: Take a video that ends long before the end that its header gives.
        progress: Called with the second that has been reached.

    Returns:
        The features and their time axis.

    Raises:
        VideoError: The video cannot be read, is truncated or too short, or has features that are
            not finite.
        ValueError: The encoder does not return ``(N, C)``.
    """
    if prepare is None:
        prepare = getattr(encoder, 'prepare', None)
    with contextlib.closing(Video(path, allow_short)) as video:
        fps = frame_rate(video, sampling)
        stride, offset = sampling.time_axis(fps)
        vectors: list[np.ndarray] = []
        for snippets in _batches(read_snippets(video, sampling, prepare), batch_size):
            vectors.append(_encode(encoder, snippets, amp))
            if progress is not None:
                progress(((len(vectors) - 1) * batch_size + len(snippets)) * stride)
    if not vectors:
        raise VideoError(
            f'{path}: expected at least {sampling.length} frames for one snippet, got '
            f'{video.duration:.2f} s of {fps:g} frames a second: take shorter snippets'
        )
    features = np.concatenate(vectors)
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        first = offset + (bad[0] + 0.5) * stride
        raise VideoError(
            f'{path}: the encoder gave NaN or Inf in {len(bad)} of {len(features)} snippets, '
            f'the first at {first:.1f} s: try without mixed precision'
        )
    return VideoFeatures(features.T, stride, offset, video.duration, video.fps)


def _read_config(path: str) -> Config:
    return get_config(path) if '::' in path else Config.fromfile(path)


def _freeze(encoder: nn.Module, device: str | torch.device) -> Any:
    return encoder.to(device).eval().requires_grad_(False)


def _batches(snippets: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    while batch := list(itertools.islice(snippets, size)):
        yield np.stack(batch)


@torch.inference_mode()
def _encode(encoder: Encoder, snippets: np.ndarray, amp: bool) -> np.ndarray:
    """float32 ``(N, C)``."""
    tensors = encoder.state_dict().values() if isinstance(encoder, nn.Module) else ()
    device = next((tensor.device for tensor in tensors), torch.device('cpu'))
    with torch.autocast(device.type, enabled=amp):
        vectors = encoder(torch.from_numpy(snippets).to(device))
    if vectors.ndim != 2 or len(vectors) != len(snippets):
        raise ValueError(
            f'the encoder gave {tuple(vectors.shape)} for {len(snippets)} snippets '
            f'{snippets.shape}, expected ({len(snippets)}, channels)'
        )
    return vectors.float().cpu().numpy()
