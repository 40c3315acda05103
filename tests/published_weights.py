"""Random weights under the names and in the shapes of published checkpoints, in small sizes.

Names and shapes were read in the public code: happyharrycn/actionformer_release (libs/modeling),
sming256/OpenTAD (opentad/models), frostinassiky/gtad (gtad_lib/models.py). Published is one size
of each; what is a number in their configs is an argument here.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Of the tiny data set of the tests.
FEATURES = 16

State = dict[str, Tensor]


def _filled(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Values of about 1, so that biases in the padding are seen; norms and scales around 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        value = torch.randn(shape, generator=generator)
        fan_in = max(1, value[0].numel()) if len(shape) > 1 and shape[0] > 1 else 1
        state[name] = value / fan_in**0.5
        if 'norm' in name or '.ln' in name or 'scale' in name:
            state[name] = 0.5 * value + (0 if name.endswith('bias') else 1)
    return state


def _layer(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f'{name}.weight': shape, f'{name}.bias': shape[:1]}


def _transformer(name: str, c: int, norm: tuple[int, ...], drop_path: bool) -> dict:
    """A block of ActionFormer; ``norm`` is the shape of its layer norms."""

    def layer_norm(part: str) -> dict:
        return {f'{name}.{part}.{which}': norm for which in ('weight', 'bias')}

    shapes = {**layer_norm('ln1'), **layer_norm('ln2')}
    for part in ('query', 'key', 'value'):
        shapes[f'{name}.attn.{part}_conv.conv.weight'] = (c, 1, 3)
        shapes |= layer_norm(f'attn.{part}_norm') | _layer(f'{name}.attn.{part}', c, c, 1)
    shapes |= _layer(f'{name}.attn.proj', c, c, 1)
    shapes |= _layer(f'{name}.mlp.0', 4 * c, c, 1) | _layer(f'{name}.mlp.3', c, 4 * c, 1)
    if drop_path:
        shapes |= {f'{name}.drop_path_{part}.scale': (1, c, 1) for part in ('attn', 'mlp')}
    return shapes


def authors_actionformer(
    c: int = 8,
    stem: int = 1,
    branch: int = 2,
    classes: int = 2,
    drop_path: bool = True,
    features: int = FEATURES,
) -> State:
    """``PtTransformer`` of the authors, with layer norms, an identity FPN and no relative encoding,
    as in all of their configs."""
    shapes: dict = {}

    def layer_norm(name: str) -> dict:
        return {f'{name}.{which}': (1, c, 1) for which in ('weight', 'bias')}

    for index in range(2):
        shapes[f'backbone.embd.{index}.conv.weight'] = (c, c if index else features, 3)
        shapes |= layer_norm(f'backbone.embd_norm.{index}')
    for kind, number in (('stem', stem), ('branch', branch)):
        for index in range(number):
            shapes |= _transformer(f'backbone.{kind}.{index}', c, (1, c, 1), drop_path)
    for level in range(branch + 1):
        shapes |= layer_norm(f'neck.fpn_norms.{level}')
        shapes[f'reg_head.scale.{level}.scale'] = ()
    for head in ('cls_head', 'reg_head'):
        for index in range(2):
            shapes[f'{head}.head.{index}.conv.weight'] = (c, c, 3)
            shapes |= layer_norm(f'{head}.norm.{index}')
    shapes |= _layer('cls_head.cls_head.conv', classes, c, 3)
    shapes |= _layer('reg_head.offset_head.conv', 2, c, 3)
    return _filled(shapes)


def opentad_actionformer(c: int = 8, stem: int = 1, branch: int = 2, classes: int = 2) -> State:
    """``Conv1DTransformerProj``, ``FPNIdentity`` and ``ActionFormerHead`` of OpenTAD."""
    shapes: dict = {}
    for index in range(2):
        shapes[f'projection.embed.{index}.conv.weight'] = (c, c if index else FEATURES, 3)
        shapes |= _layer(f'projection.embed.{index}.norm', c)
    for kind, number in (('stem', stem), ('branch', branch)):
        for index in range(number):
            shapes |= _transformer(f'projection.{kind}.{index}', c, (c,), True)
    for level in range(branch + 1):
        shapes |= _layer(f'neck.fpn_norms.{level}', c)
        shapes[f'rpn_head.scale.{level}.scale'] = ()
    for head in ('cls', 'reg'):
        for index in range(2):
            shapes[f'rpn_head.{head}_convs.{index}.conv.weight'] = (c, c, 3)
            shapes |= _layer(f'rpn_head.{head}_convs.{index}.norm', c)
        shapes |= _layer(f'rpn_head.{head}_head', classes if head == 'cls' else 2, c, 3)
    return {**_filled(shapes), 'rpn_head.loss_normalizer': torch.tensor(250)}


def opentad_bmn(c: int = 8, fewer: int = 4, samples: int = 4) -> State:
    """``BMN`` of OpenTAD; ``fewer`` are the 128 of 256 channels that it takes to the map."""
    shapes: dict = {}
    for index in range(2):
        shapes |= _layer(f'projection.convs.{index}.conv', c, (c if index else FEATURES) // 4, 3)
        shapes |= _layer(f'rpn_head.tem.{index}.0.conv', c, c // 4, 3)
        shapes |= _layer(f'rpn_head.tem.{index}.1.conv', 1, c, 1)
    roi = 'roi_head.proposal_roi_extractor'
    shapes |= _layer(f'{roi}.reduce_dim.0', fewer, c, 3)
    shapes |= _layer(f'{roi}.conv3d.0', 6, fewer, samples, 1) | _layer(
        f'{roi}.conv2d.0', 4, 6, 1, 1
    )
    for index in range(2):
        shapes |= _layer(f'roi_head.proposal_head.head.{index}.0', 4, 4, 3, 3)
    return _filled(shapes | _layer('roi_head.proposal_head.head.2', 2, 4, 1, 1))


def _graph(name: str, c: int) -> dict:
    """``GCNeXt``: 32 groups of 4 channels."""
    return {
        **_layer(f'{name}.tconvs.0', 128, c, 1),
        **_layer(f'{name}.tconvs.2', 128, 4, 3),
        **_layer(f'{name}.tconvs.4', c, 128, 1),
        **_layer(f'{name}.sconvs.0', 128, 2 * c, 1, 1),
        **_layer(f'{name}.sconvs.2', 128, 4, 1, 1),
        **_layer(f'{name}.sconvs.4', c, 128, 1, 1),
    }


def authors_gtad(
    c: int = 8,
    samples: int = 5,
    kernel: int = 1,
    features: int = FEATURES,
    wide: int = 6,
    narrow: int = 4,
) -> State:
    """``GTAD`` of the authors; 36 samples and kernel 1 in the branch ``anet``, 32 and 3 in
    ``master``."""
    shapes = _layer('backbone1.0', c, features // 4, 3)
    for block in ('backbone1.2', 'backbone2.0', 'regu_s.0', 'regu_e.0'):
        shapes |= _graph(block, c)
    shapes |= _layer('regu_s.1', 1, c, 1) | _layer('regu_e.1', 1, c, 1)
    shapes |= _layer('localization.0', wide, c * samples, 1, 1)
    shapes |= _layer('localization.2', narrow, wide, 1, 1)
    for index in (4, 6):
        shapes |= _layer(f'localization.{index}', narrow, narrow, kernel, kernel)
    return _filled(shapes | _layer('localization.8', 2, narrow, 1, 1))


def opentad_gtad(c: int = 8, samples: int = 5, kernel: int = 1) -> State:
    """``GTAD`` of OpenTAD; its kernel is 1 for ActivityNet and, in all three convolutions, 3 for
    THUMOS14."""
    shapes = _layer('projection.convs.0.conv', c, FEATURES // 4, 3)
    roi = 'roi_head.proposal_roi_extractor'
    for block in ('neck', f'{roi}.gcnext', 'rpn_head.tem.0.0', 'rpn_head.tem.1.0'):
        shapes |= _graph(block, c)
    for index in range(2):
        shapes |= _layer(f'rpn_head.tem.{index}.1.conv', 1, c, 1)
    shapes |= _layer(f'{roi}.conv2d.0', 6, c * samples, 1, 1)
    for index in range(3):
        size = 6 if index == 0 else 4
        shapes |= _layer(f'roi_head.proposal_head.head.{index}.0', 4, size, kernel, kernel)
    return _filled(shapes | _layer('roi_head.proposal_head.head.3', 2, 4, 1, 1))


def authors_sola(c: int = FEATURES, hidden: int = 4) -> State:
    """SoLa of its authors."""
    shapes = {'alpha': (1,)}
    shapes |= _layer('conv_network.0', hidden, c, 5) | _layer('conv_network.2', hidden, hidden, 1)
    return _filled(shapes | _layer('conv_network.4', c, hidden, 1))


def prefixed(state: State) -> State:
    """As a model on several GPUs saves them."""
    return {f'module.{name}': value for name, value in state.items()}
