"""Published weights of G-TAD: its authors' and OpenTAD's.

https://github.com/frostinassiky/gtad, https://github.com/sming256/OpenTAD.
"""

from __future__ import annotations

from typing import Any

from sola_plugin.heads.shared.published import Converted, Weights, swap_maps
from sola_plugin.necks.checkpoint import CheckpointError

_CONVS = [f'{kind}convs.{index}' for kind in 'ts' for index in (0, 2, 4)]
_BOUNDARIES = ('regu_s', 'regu_e')
_EXTRACTOR = 'roi_head.proposal_roi_extractor'
_MAP = 'roi_head.proposal_head.head'


def from_authors(weights: Weights) -> Converted:
    """Weights of the authors, whose names are ours.

    Args:
        weights: Without ``module.`` before their names.

    Raises:
        CheckpointError: They are others, or have parts that ours lacks.
    """
    weights.move_layer('backbone1.0', 'backbone1.0')
    for block in ('backbone1.2', 'backbone2.0', *(f'{name}.0' for name in _BOUNDARIES)):
        _move_block(weights, block, block)
    for name in _BOUNDARIES:
        weights.move_layer(f'{name}.1', f'{name}.1')
    for index in range(0, 10, 2):
        weights.move_layer(f'localization.{index}', f'localization.{index}')
    return _finished(weights, to_end=False)


def from_opentad(weights: Weights) -> Converted:
    """Weights of OpenTAD for ActivityNet; those for THUMOS14 are of another network.

    Args:
        weights: Without ``module.`` before their names.

    Raises:
        CheckpointError: They are others, or have parts that ours lacks.
    """
    first = f'{_MAP}.0.0.weight'
    if first in weights and (kernel := tuple(weights[first].shape[2:])) != (1, 1):
        raise CheckpointError(
            f'{first} is a convolution over {kernel} cells: in OpenTAD the G-TAD of THUMOS14 '
            "has another network than its authors', whose first convolution on the map is over "
            'single cells; there is none here that these weights fit. Take the weights of its '
            'authors, or train configs/localization/gtad_thumos14.py'
        )
    weights.move_layer('projection.convs.0.conv', 'backbone1.0')
    _move_block(weights, 'neck', 'backbone1.2')
    for index, name in enumerate(_BOUNDARIES):
        _move_block(weights, f'rpn_head.tem.{index}.0', f'{name}.0')
        weights.move_layer(f'rpn_head.tem.{index}.1.conv', f'{name}.1')
    _move_block(weights, f'{_EXTRACTOR}.gcnext', 'backbone2.0')
    weights.move_layer(f'{_EXTRACTOR}.conv2d.0', 'localization.0')
    for index in range(3):
        weights.move_layer(f'{_MAP}.{index}.0', f'localization.{2 * index + 2}')
    weights.move_layer(f'{_MAP}.3', 'localization.8', swap_maps)
    return _finished(weights, to_end=True)


def _move_block(weights: Weights, theirs: str, ours: str) -> None:
    for conv in _CONVS:
        weights.move_layer(f'{theirs}.{conv}', f'{ours}.{conv}')


def _finished(weights: Weights, to_end: bool) -> Converted:
    weights.finish()
    moved = Weights(weights.state, weights.kind)
    width = moved.size('backbone1.0.weight', 0)
    grouped = 'backbone2.0.tconvs.2.weight'
    samples = moved.size('localization.0.weight', 1) // max(width, 1)
    if samples < 2:
        raise CheckpointError(
            f'{weights.origin["localization.0.weight"]} takes {samples} samples of each of {width} '
            'channels, expected at least one of snippets and one of their neighbours'
        )
    model: dict[str, Any] = dict(
        type='GTAD',
        feat_dim=4 * moved.size('backbone1.0.weight', 1),  # in 4 groups
        hidden_dim_1d=width,
        hidden_dim_2d=moved.size('localization.2.weight', 0),
        hidden_dim_3d=moved.size('localization.0.weight', 0),
        groups=moved.size(grouped, 0) // max(moved.size(grouped, 1), 1),
        kernel_size=moved.size('localization.4.weight', 2),
        sample_to_end=to_end,
    )
    unseen = (
        f'num_samples + num_context_samples is {samples}; published are 32 + 4 for ActivityNet and '
        '16 + 16 for THUMOS14',
        'temporal_dim and max_duration (temporal_scale and max_duration, in OpenTAD tscale and '
        'dscale), boundary_ratio (0.5)',
    )
    probe = dict(temporal_dim=4, num_samples=samples - 1, num_context_samples=1)
    needs = dict(sample_to_end=to_end)
    return Converted(weights.state, weights.origin, model, needs, probe, unseen)
