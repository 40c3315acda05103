"""Networks as ONNX files, with what post-processing needs to know; checked against PyTorch."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from sola_plugin.heads import ActionFormer
from sola_plugin.heads.shared.map_head import MapHead
from sola_plugin.heads.shared.neck_support import NeckMixin, resize_features
from sola_plugin.io import atomic_write
from sola_plugin.necks import Neck, build_sola

from .localization.localizing import load_localizer

#: Of the operators in the files.
OPSET = 17

#: Largest difference to PyTorch, relative to the largest value of an output.
TOLERANCE = 1e-4

#: Key of the metadata under which the settings stand, as JSON.
METADATA_KEY = 'sola_plugin'

PARTS = ('all', 'neck', 'head')


class ExportError(ValueError):
    """A network cannot be exported, or the exported one gives other values."""


class _Graph(nn.Module):
    """What is traced: features in, outputs of the network."""

    outputs: tuple[str, ...]
    network: Any
    dynamic = True

    def __init__(self, network: nn.Module, part: str) -> None:
        super().__init__()
        self.network = network
        self.part = part

    def behind_neck(self, features: Tensor) -> Tensor:
        """Features as the head gets them."""
        neck = getattr(self.network, 'neck', None)
        if self.part == 'head' or neck is None:
            return features
        return neck(features)


class _NeckGraph(_Graph):
    outputs = ('features_out',)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, C, T)`` to the same."""
        return self.network(features)


class _MapGraph(_Graph):
    outputs = ('confidence', 'start', 'end')

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """``(1, C, T)`` to maps ``(1, 2, D, cells)`` and scores ``(1, cells)``."""
        x = self.behind_neck(features)
        if self.dynamic:
            x = resize_features(x, self.network.cells)
        return self.network._forward(x)


class _PointGraph(_Graph):
    outputs = ('scores', 'segments')

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """``(1, C, T)`` to scores ``(1, P, K)`` and segments ``(1, P, 2)`` in cells."""
        x = self.behind_neck(features)
        if self.network.cells is not None:
            x = resize_features(x, self.network.cells)
        logits, distances, _, points = self.network._forward([x[0]])
        scores, segments = self.network.scores_and_segments(logits, distances, points)
        return scores, segments


def load_network(*paths: str | os.PathLike) -> nn.Module:
    """Load what is to be exported.

    Args:
        *paths: One: a file with a neck, see :func:`~sola_plugin.necks.read_sola`. Two: config and
            checkpoint of a localizer.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read, or does not fit the config.
    """
    if len(paths) == 1:
        return build_sola(paths[0])
    config, checkpoint = paths
    return load_localizer(config, checkpoint)


def export_onnx(
    network: nn.Module,
    path: str | os.PathLike,
    part: str = 'all',
    lengths: Sequence[int] = (1, 17, 64, 301),
) -> dict[str, Any]:
    """Write a network as an ONNX file, and compare it with PyTorch if onnxruntime is there.

    The input ``features`` is float32 ``(1, C, T)`` of any T (of a neck ``(N, C, T)``), at native
    stride. Outputs are ``features_out``; of BMN and G-TAD ``confidence (1, 2, D, cells)``,
    ``start`` and ``end (1, cells)``; of ActionFormer ``scores (1, P, K)`` and ``segments
    (1, P, 2)`` in cells of the features. What :func:`describe` tells is in the metadata, as JSON
    under ``sola_plugin``.

    Args:
        network: A neck, or a BMN, G-TAD or ActionFormer, with its neck or without.
        path: The file.
        part: Of a localizer: ``'all'``, its ``'neck'``, or its ``'head'`` alone, whose input is
            behind the neck. A BMN or G-TAD with windows is exported by its two parts: its neck sees
            whole videos, its head windows of ``cells`` snippets.
        lengths: Values of T that are compared.

    Returns:
        ``dict(inputs, outputs, difference)``: largest difference by length, relative to the largest
        value; empty without onnxruntime.

    Raises:
        ExportError: There is no way to export this, or the values differ.
        ImportError: The package onnx is missing.
        OSError: The file cannot be written.
    """
    onnx = _package('onnx')
    graph = graph_of(network, part).eval()
    device = next(network.parameters(), torch.empty(0)).device
    channels = _channels(graph)
    example_length = 64 if graph.dynamic else _cells(graph.network)
    example = torch.randn(1, channels, example_length, device=device)
    axes = {'features': {2: 'T'}} if graph.dynamic else {}
    if isinstance(graph, _NeckGraph):
        axes = {name: {0: 'N', 2: 'T'} for name in ('features', *graph.outputs)}
    if isinstance(graph, _PointGraph):
        axes |= {name: {1: 'P'} for name in graph.outputs}
    content = io.BytesIO()
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            graph,
            (example,),
            content,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=['features'],
            output_names=list(graph.outputs),
            dynamic_axes=axes,
        )
    model = onnx.load_model_from_string(content.getvalue())
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(describe(network, part))
    with atomic_write(path, 'wb') as file:
        file.write(model.SerializeToString())
    wanted = lengths if graph.dynamic else [example_length]
    return dict(
        inputs=dict(features=[1, channels, 'T' if graph.dynamic else example_length]),
        outputs=list(graph.outputs),
        difference=_compare(graph, model.SerializeToString(), channels, wanted, path),
    )


def describe(network: nn.Module, part: str = 'all') -> dict[str, Any]:
    """What post-processing needs to know of a network.

    Args:
        network: See :func:`export_onnx`.
        part: See there.

    Returns:
        Plain values: ``type``, ``part``, ``neck`` (its record), and of a localizer ``classes``,
        ``cells``, ``post_processing``, and for maps ``soft_nms``, ``boundary_scores`` and
        ``boundary_candidates``.
    """
    if isinstance(network, Neck):
        radius = getattr(network, 'receptive_radius', None)
        return dict(type=type(network).__name__, neck=network.settings, receptive_radius=radius)
    assert isinstance(network, NeckMixin)
    neck, settings = network.neck, cast(Any, network.post_processing)
    told = dict(
        type=type(network).__name__,
        part=part,
        neck=neck.settings if isinstance(neck, Neck) else None,
        cells=network.cells,
        classes=getattr(network, 'classes', None),
        post_processing=dataclasses.asdict(settings),
    )
    if isinstance(network, MapHead):
        boundary = network.post_processing.boundary_scores
        told |= dict(
            cells=_cells(network),
            boundary_scores=network.boundary_scores if boundary is None else boundary,
            boundary_candidates=network.boundary_candidates,
            soft_nms=dict(
                alpha=network.soft_nms_alpha,
                low_threshold=network.soft_nms_low_threshold,
                high_threshold=network.soft_nms_high_threshold,
                top_k=network.post_process_top_k,
            ),
        )
    return told


def graph_of(network: nn.Module, part: str) -> _Graph:
    """What is traced of a network.

    Args:
        network: See :func:`export_onnx`.
        part: See there.

    Raises:
        ExportError: There is no way to export this.
    """
    if part not in PARTS:
        raise ExportError(f'part is {part!r}, expected one of {", ".join(PARTS)}')
    if isinstance(network, NeckMixin) and part == 'neck':
        if network.neck is None:
            raise ExportError(f'the {type(network).__name__} has no neck: export all of it')
        return _NeckGraph(network.neck, part)
    if isinstance(network, MapHead):
        graph = _MapGraph(network, part)
        graph.dynamic = network.cells is not None and part == 'all'
        if network.windows is not None and network.neck is not None and part == 'all':
            raise ExportError(
                f'the {type(network).__name__} has windows, its neck sees whole videos: export '
                "part='neck' and part='head'"
            )
        return graph
    if isinstance(network, ActionFormer):
        if network.padding is not None or network.pyramid.position_length is not None:
            raise ExportError(
                'an ActionFormer with padding or position_length depends on the length of a video '
                'in ways that a graph cannot: leave them out of the config'
            )
        return _PointGraph(network, part)
    if isinstance(network, Neck):
        return _NeckGraph(network, part)
    raise ExportError(f'expected a neck, BMN, GTAD or ActionFormer, got a {type(network).__name__}')


def _channels(graph: _Graph) -> int:
    network = graph.network
    channels = network.channels if isinstance(network, NeckMixin) else network.in_channels
    if channels is None:
        raise ExportError('the neck does not say its in_channels: give them')
    return int(channels)


def _cells(network: Any) -> int:
    """Cells of a head with maps."""
    return getattr(network, 'tscale', None) or network.temporal_dim


def _compare(
    graph: _Graph, model: bytes, channels: int, lengths: Sequence[int], path: Any
) -> dict[int, float]:
    """Largest relative difference to PyTorch at each length."""
    try:
        onnxruntime = _package('onnxruntime')
    except ImportError as error:
        print_log(f'{path} was not compared with PyTorch: {error}', 'current', logging.WARNING)
        return {}
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    device = next(graph.parameters(), torch.empty(0)).device
    generator = torch.Generator().manual_seed(0)
    found = {}
    for length in lengths:
        features = torch.randn(1, channels, length, generator=generator)
        with torch.no_grad():
            expected = graph(features.to(device))
        expected = expected if isinstance(expected, tuple) else (expected,)
        outputs = session.run(None, dict(features=features.numpy()))
        found[length] = max(
            _difference(ours, theirs.cpu().numpy()) for ours, theirs in zip(outputs, expected)
        )
    worst = max(found, key=lambda length: found[length])
    if not found[worst] <= TOLERANCE:
        raise ExportError(
            f'{path}: expected the values of PyTorch to {TOLERANCE:g}, got a difference of '
            f'{found[worst]:.2g} at {worst} snippets: please report it'
        )
    return found


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return float('inf')
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-6))


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{name} is not installed, which ONNX files need: pip install 'sola_plugin[onnx]'"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what the exporter says of itself, and of branches that hold for all lengths."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', category=DeprecationWarning)
        warnings.filterwarnings('ignore', category=torch.jit.TracerWarning)
        warnings.filterwarnings('ignore', module=r'torch\.onnx.*')
        yield
