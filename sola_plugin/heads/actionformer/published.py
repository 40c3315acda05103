"""Published weights of ActionFormer: its authors' and OpenTAD's, which differ in names and eps.

https://github.com/happyharrycn/actionformer_release, https://github.com/sming256/OpenTAD.
"""

from __future__ import annotations

import dataclasses

import torch

from sola_plugin.heads.shared.published import Converted, Weights

#: Their names of what ours has in lists, in this order.
_PARTS = ('query', 'key', 'value')


@dataclasses.dataclass(frozen=True)
class _Names:
    """Where the parts are; ``{}`` is the number of one."""

    code: str
    norm_eps: float
    conv: str
    norm: str
    stem: str
    branch: str
    heads: tuple[str, str]
    head_norms: tuple[str, str]
    last: tuple[str, str]
    scale: str


_AUTHORS = _Names(
    code='authors',
    norm_eps=1e-5,
    conv='backbone.embd.{}.conv',
    norm='backbone.embd_norm.{}',
    stem='backbone.stem.{}',
    branch='backbone.branch.{}',
    heads=('cls_head.head.{}.conv', 'reg_head.head.{}.conv'),
    head_norms=('cls_head.norm.{}', 'reg_head.norm.{}'),
    last=('cls_head.cls_head.conv', 'reg_head.offset_head.conv'),
    scale='reg_head.scale.{}.scale',
)
_OPENTAD = _Names(
    code='opentad',
    norm_eps=1e-6,
    conv='projection.embed.{}.conv',
    norm='projection.embed.{}.norm',
    stem='projection.stem.{}',
    branch='projection.branch.{}',
    heads=('rpn_head.cls_convs.{}.conv', 'rpn_head.reg_convs.{}.conv'),
    head_norms=('rpn_head.cls_convs.{}.norm', 'rpn_head.reg_convs.{}.norm'),
    last=('rpn_head.cls_head', 'rpn_head.reg_head'),
    scale='rpn_head.scale.{}.scale',
)

#: Theirs have no such value in their weights (authors), or one that only training uses.
_LOSS_NORMALIZER = 100.0


def from_authors(weights: Weights) -> Converted:
    """Weights of the authors' release.

    Args:
        weights: Without ``module.`` before their names.

    Raises:
        CheckpointError: They are others, or have parts that ours lacks.
    """
    return _convert(weights, _AUTHORS)


def from_opentad(weights: Weights) -> Converted:
    """Weights of OpenTAD; see :func:`from_authors`."""
    return _convert(weights, _OPENTAD)


def _convert(weights: Weights, names: _Names) -> Converted:
    convs = weights.count(names.conv + '.weight')
    stem = weights.count(names.stem + '.ln1.weight')
    levels = weights.count('neck.fpn_norms.{}.weight')
    head_convs = weights.count(names.heads[0] + '.weight')
    first = names.conv.format(0) + '.weight'
    for index in range(convs):
        weights.move(
            f'{names.conv}.weight'.format(index), f'pyramid.projection.{index}.conv.weight'
        )
        _move_norm(weights, names.norm.format(index), f'pyramid.projection.{index}.norm')
    for index in range(stem):
        _move_block(weights, names.stem.format(index), f'pyramid.stem.{index}')
    for index in range(levels):
        if index:
            _move_block(weights, names.branch.format(index - 1), f'pyramid.levels.{index - 1}')
        _move_norm(weights, f'neck.fpn_norms.{index}', f'pyramid.norms.{index}')
    parts = zip(('classifier', 'regressor'), names.heads, names.head_norms, names.last)
    for ours, conv, norm, last in parts:
        for index in range(head_convs):
            weights.move(f'{conv}.weight'.format(index), f'{ours}.convs.{index}.conv.weight')
            _move_norm(weights, norm.format(index), f'{ours}.convs.{index}.norm')
        weights.move_layer(last, f'{ours}.last')
    _move_scales(weights, names.scale, levels)
    classes = weights.size(f'{names.last[0]}.weight', 0)
    pyramid = dict(
        channels=weights.size(first, 0), num_levels=levels, num_convs=convs, num_stem_blocks=stem
    )
    model = dict(
        type='ActionFormer',
        feat_dim=weights.size(first, 1),
        pyramid=pyramid,
        num_head_convs=head_convs,
        norm_eps=names.norm_eps,
    )
    weights.finish()
    return Converted(
        weights.state,
        weights.origin,
        model,
        dict(norm_eps=names.norm_eps),
        dict(
            classes=[str(number) for number in range(classes)] if classes > 1 else None,
            pyramid=dict(pyramid, num_heads=1),
        ),
        _unseen(classes, names.code),
    )


def _unseen(classes: int, code: str) -> tuple[str, ...]:
    labels = (
        f'classes: {classes} names in the order of the numbers in its annotations'
        if classes > 1
        else 'classes: None, if its one class stands for all actions'
    )
    return (
        labels,
        'pyramid.num_heads (n_head there), pyramid.windows (n_mha_win_size; None for -1), '
        'pyramid.position_encoding (use_abs_pe)',
        f'padding=dict(code={code!r}, length=max_seq_len), pyramid.position_length=max_seq_len: '
        'to compute at the ends of videos, and beyond the length of training, what it does',
    )


def _move_norm(weights: Weights, theirs: str, ours: str) -> None:
    weights.move_layer(theirs, ours, torch.flatten)  # the authors' are (1, C, 1)


def _move_block(weights: Weights, theirs: str, ours: str) -> None:
    _move_norm(weights, f'{theirs}.ln1', f'{ours}.attention_norm')
    for index, part in enumerate(_PARTS):
        place = f'{ours}.attention'
        weights.move(f'{theirs}.attn.{part}_conv.conv.weight', f'{place}.convs.{index}.weight')
        _move_norm(weights, f'{theirs}.attn.{part}_norm', f'{place}.norms.{index}')
        weights.move_layer(f'{theirs}.attn.{part}', f'{place}.projections.{index}')
    weights.move_layer(f'{theirs}.attn.proj', f'{ours}.attention.out')
    _move_norm(weights, f'{theirs}.ln2', f'{ours}.mlp.0')
    weights.move_layer(f'{theirs}.mlp.0', f'{ours}.mlp.1')
    weights.move_layer(f'{theirs}.mlp.3', f'{ours}.mlp.4')
    for part in ('attn', 'mlp'):
        scale = f'{theirs}.drop_path_{part}.scale'
        place = f'{ours}.{"attention" if part == "attn" else part}_residual.scale'
        if scale in weights:
            weights.move(scale, place, torch.flatten)
        else:  # trained without stochastic depth, which brings the scales along
            weights.add(place, torch.ones_like(weights.state[f'{ours}.attention_norm.weight']))


def _move_scales(weights: Weights, theirs: str, levels: int) -> None:
    """One number a level there, one vector here."""
    parts = []
    for level in range(levels):
        weights.move(theirs.format(level), 'scale', torch.flatten)
        parts.append(weights.state.pop('scale'))
    weights.state['scale'] = torch.cat(parts) if parts else torch.zeros(0)
    normalizer = 'rpn_head.loss_normalizer'
    if normalizer in weights:
        weights.move(normalizer, 'loss_normalizer', torch.Tensor.float)
    else:
        weights.add('loss_normalizer', torch.tensor(_LOSS_NORMALIZER))
