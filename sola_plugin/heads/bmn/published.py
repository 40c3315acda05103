"""Published weights of BMN: OpenTAD's. mmaction2's load as they are.

https://github.com/sming256/OpenTAD.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sola_plugin.heads.shared.published import Converted, Weights, swap_maps
from sola_plugin.necks.checkpoint import CheckpointError

_BASE = 'projection.convs.{}.conv'
_BOUNDARY = 'rpn_head.tem.{}.{}.conv'
_SAMPLES = 'roi_head.proposal_roi_extractor.{}.0'
_MAP = 'roi_head.proposal_head.head.{}'


def from_opentad(weights: Weights) -> Converted:
    """Weights of OpenTAD.

    Its features for the map have fewer channels (128) than those for the boundaries (256). Here
    both have as many; the others are zero, in every layer that they pass, and stay so in training.

    Args:
        weights: Without ``module.`` before their names.

    Raises:
        CheckpointError: They are others, or have parts that ours lacks.
    """
    for index in range(2):
        weights.move_layer(_BASE.format(index), f'x_1d_b.{2 * index}')
    for index, ours in enumerate(('x_1d_s', 'x_1d_e')):
        for layer in range(2):
            weights.move_layer(_BOUNDARY.format(index, layer), f'{ours}.{2 * layer}')
    width = weights.size(_BASE.format(0) + '.weight', 0)
    over_samples = _SAMPLES.format('conv3d')
    fewer = width - weights.size(over_samples + '.weight', 1)
    if fewer < 0:
        raise CheckpointError(
            f'{over_samples}.weight has {width - fewer} channels, expected at most the {width} of '
            'the features'
        )

    def widened(x: Tensor) -> Tensor:
        return F.pad(x, (0, 0) * (x.dim() - 1) + (0, fewer))

    def over_widened(x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, fewer))[..., None]

    weights.move_layer(_SAMPLES.format('reduce_dim'), 'x_1d_p.0', widened)
    num_samples = weights.size(over_samples + '.weight', 2)
    weights.move(f'{over_samples}.weight', 'x_3d_p.0.weight', over_widened)
    weights.move(f'{over_samples}.bias', 'x_3d_p.0.bias')
    weights.move_layer(_SAMPLES.format('conv2d'), 'x_2d_p.0')
    for index in range(2):
        weights.move_layer(_MAP.format(f'{index}.0'), f'x_2d_p.{2 * index + 2}')
    weights.move_layer(_MAP.format(2), 'x_2d_p.6', swap_maps)
    weights.finish()
    model = dict(
        type='BMN',
        feat_dim=4 * weights.size(_BASE.format(0) + '.weight', 1),  # in 4 groups
        hidden_dim_1d=width,
        hidden_dim_2d=weights.size(_SAMPLES.format('conv2d') + '.weight', 0),
        hidden_dim_3d=weights.size(over_samples + '.weight', 0),
        num_samples=num_samples,
    )
    probe = dict(
        temporal_dim=4,
        boundary_ratio=0.5,
        num_samples_per_bin=3,
        soft_nms_alpha=0.4,
        soft_nms_low_threshold=0.5,
        soft_nms_high_threshold=0.9,
        post_process_top_k=100,
    )
    unseen = (
        'temporal_dim (tscale there), max_duration (dscale), num_samples_per_bin '
        '(num_sample_perbin, 3), boundary_ratio (prop_extend_ratio, 0.5)',
    )
    return Converted(weights.state, weights.origin, model, {}, probe, unseen)
