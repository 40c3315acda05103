"""Slow forward passes on published weights, one video at a time, to compare converted ones with.

Written from what the public code computes (its repositories are named in
:mod:`tests.published_weights`), operation by operation, without its optimizations and without ours:
the padding is really there, attention is a loop over positions, sampled maps are loops over
proposals.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.heads.test_graph import align
from tests.published_weights import State


class PublishedActionFormer:
    """The authors' and OpenTAD's ActionFormer, in the precision of the weights.

    Args:
        state: Weights, without a prefix.
        opentad: OpenTAD's: other names, eps 1e-6 outside of the transformer blocks, and activations
            that are cleared in the padding.
        heads: Of the attention.
        windows: Of every level, as in their configs; -1 is all.
        max_seq_len: Of their configs.
        use_abs_pe: Likewise.
    """

    def __init__(self, state, opentad, heads, windows, max_seq_len, use_abs_pe=False) -> None:
        self.state, self.opentad, self.heads = state, opentad, heads
        self.windows, self.max_seq_len, self.use_abs_pe = windows, max_seq_len, use_abs_pe
        self.base = 'projection' if opentad else 'backbone'

    def padded_length(self, length: int) -> int:
        if length <= self.max_seq_len:
            return self.max_seq_len
        factor = max(
            2**level * (window // 2 * 2 if window > 1 else 1)
            for level, window in enumerate(self.windows)
        )
        return math.ceil(length / factor) * factor

    def norm(self, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        """Layer norm at each position of ``(C, T)``, padding or not."""
        centred = x - x.mean(0)
        weight, bias = (self.state[f'{name}.{part}'].reshape(-1, 1) for part in ('weight', 'bias'))
        return centred / (centred.square().mean(0) + eps).sqrt() * weight + bias

    def conv(self, name: str, x: Tensor, mask: Tensor | None, stride=1, groups=1) -> Tensor:
        weight = self.state[f'{name}.weight']
        bias = self.state.get(f'{name}.bias')
        pad = weight.shape[2] // 2
        y = F.conv1d(x[None], weight, bias, stride, pad, groups=groups)[0]
        return y if mask is None else y * mask

    def conv_norm_relu(self, conv: str, norm: str, x: Tensor, mask: Tensor) -> Tensor:
        y = self.norm(norm, self.conv(conv, x, mask), 1e-6 if self.opentad else 1e-5).relu()
        return y * mask if self.opentad else y

    def attention(self, name: str, x: Tensor, mask: Tensor, stride: int, window: int):
        """Of the real positions to the real positions in their windows; the others get zeros."""
        new_mask, parts = mask[::stride], []
        for part in ('query', 'key', 'value'):
            y = self.conv(f'{name}.{part}_conv.conv', x, new_mask, stride, groups=len(x))
            parts.append(self.conv(f'{name}.{part}', self.norm(f'{name}.{part}_norm', y), None))
        size = len(x) // self.heads
        out = torch.zeros_like(parts[0])
        real = [t for t in range(len(new_mask)) if new_mask[t]]
        for t in real:
            seen = [s for s in real if window <= 1 or abs(s - t) <= window // 2]
            for head in range(self.heads):
                query, key, value = (p[head * size : (head + 1) * size] for p in parts)
                score = (query[:, t] @ key[:, seen]) / math.sqrt(size)
                out[head * size : (head + 1) * size, t] = value[:, seen] @ score.softmax(0)
        return self.conv(f'{name}.proj', out, new_mask), new_mask

    def block(self, name: str, x: Tensor, mask: Tensor, stride: int, window: int):
        scales = [
            self.state[f'{name}.drop_path_{part}.scale'].reshape(-1, 1)
            if f'{name}.drop_path_attn.scale' in self.state
            else 1.0
            for part in ('attn', 'mlp')
        ]
        out, new_mask = self.attention(
            f'{name}.attn', self.norm(f'{name}.ln1', x), mask, stride, window
        )
        skip = x if stride == 1 else F.max_pool1d(x[None], 3, 2, 1)[0]  # of the padding, too
        x = skip * new_mask + scales[0] * out
        hidden = F.gelu(self.conv(f'{name}.mlp.0', self.norm(f'{name}.ln2', x), None))
        return x + scales[1] * (self.conv(f'{name}.mlp.3', hidden, None) * new_mask), new_mask

    def position(self, channels: int, length: int) -> Tensor:
        """A table in single precision, stretched to longer inputs by linear interpolation."""
        table = np.zeros((channels, self.max_seq_len))
        for channel, t in np.ndindex(*table.shape):
            angle = t / 10000 ** (2 * (channel // 2) / channels)
            table[channel, t] = math.cos(angle) if channel % 2 else math.sin(angle)
        table = torch.from_numpy(table).float() / channels**0.5
        if length < self.max_seq_len:
            return table[:, :length]
        place = ((torch.arange(length) + 0.5) * self.max_seq_len / length - 0.5).clamp(min=0)
        low = place.floor().long()
        high = (low + 1).clamp(max=self.max_seq_len - 1)
        return table[:, low] + (place - low) * (table[:, high] - table[:, low])

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(P, K)`` and distances ``(P, 2)`` of the real points, from ``(C, T)``."""
        length = x.shape[1]
        padded = self.padded_length(length)
        x = F.pad(x, (0, padded - length))
        mask = (torch.arange(padded) < length).to(x)
        for index in range(2):
            conv = f'{self.base}.{"embed" if self.opentad else "embd"}.{index}.conv'
            norm = (
                f'projection.embed.{index}.norm' if self.opentad else f'backbone.embd_norm.{index}'
            )
            x = self.conv_norm_relu(conv, norm, x, mask)
        if self.use_abs_pe:
            x = x + self.position(len(x), padded).to(x) * mask
        index = 0
        while f'{self.base}.stem.{index}.ln1.weight' in self.state:
            x, mask = self.block(f'{self.base}.stem.{index}', x, mask, 1, self.windows[0])
            index += 1
        levels = [(x, mask)]
        for index, window in enumerate(self.windows[1:]):
            levels.append(self.block(f'{self.base}.branch.{index}', *levels[-1], 2, window))
        outputs = [self.heads_of(level, *each) for level, each in enumerate(levels)]
        return tuple(torch.cat(parts).contiguous() for parts in zip(*outputs))

    def heads_of(self, level: int, x: Tensor, mask: Tensor) -> list[Tensor]:
        x = self.norm(f'neck.fpn_norms.{level}', x, 1e-6 if self.opentad else 1e-5)
        results = []
        for head in ('cls', 'reg'):
            y = x
            for index in range(2):
                conv = f'{head}_head.head.{index}.conv'
                norm = f'{head}_head.norm.{index}'
                if self.opentad:
                    conv, norm = (
                        f'rpn_head.{head}_convs.{index}.{part}' for part in ('conv', 'norm')
                    )
                y = self.conv_norm_relu(conv, norm, y, mask)
            last = 'cls_head.cls_head.conv' if head == 'cls' else 'reg_head.offset_head.conv'
            y = self.conv(f'rpn_head.{head}_head' if self.opentad else last, y, None)
            results.append(y[:, mask > 0].T)
        scale = f'{"rpn_head" if self.opentad else "reg_head"}.scale.{level}.scale'
        return [results[0], (results[1] * self.state[scale]).relu()]


def _conv(state: State, name: str, x: Tensor, groups: int = 1) -> Tensor:
    """Of ``(C, T)`` or ``(C, D, T)``, "same" padding."""
    weight, bias = state[f'{name}.weight'], state[f'{name}.bias']
    function = F.conv1d if weight.dim() == 3 else F.conv2d
    return function(x[None], weight, bias, padding=weight.shape[-1] // 2, groups=groups)[0]


def _map_head(state: State, x: Tensor, convs: int) -> Tensor:
    """Maps ``(2, D, T)``: regression, classification; OpenTAD has them the other way round."""
    for index in range(convs):
        x = _conv(state, f'roi_head.proposal_head.head.{index}.0', x).relu()
    return _conv(state, f'roi_head.proposal_head.head.{convs}', x).sigmoid().flip(0)


def opentad_bmn(state: State, x: Tensor, durations: int) -> tuple[Tensor, Tensor, Tensor]:
    """Maps ``(2, D, T)``, scores of starts and of ends ``(T,)`` of OpenTAD's BMN."""
    for index in range(2):
        x = _conv(state, f'projection.convs.{index}.conv', x, 4).relu()
    scores = []
    for index in range(2):
        y = _conv(state, f'rpn_head.tem.{index}.0.conv', x, 4).relu()
        scores.append(_conv(state, f'rpn_head.tem.{index}.1.conv', y).sigmoid()[0])
    roi = 'roi_head.proposal_roi_extractor'
    y = _conv(state, f'{roi}.reduce_dim.0', x).relu()
    weight = state[f'{roi}.conv3d.0.weight'][..., 0]  # (H, C, N)
    number, size = weight.shape[2], x.shape[1]
    rows = x.new_zeros(len(weight), durations, size)
    for duration, start in np.ndindex(durations, size):
        samples = x.new_zeros(len(y), number)
        if start + duration < size:
            reach = 0.5 * (duration + 1)
            times = np.linspace(start - reach, start + duration + reach, 3 * number)
            for index, time in enumerate(times):
                samples[:, index // 3] += _between(y, time) / 3
        rows[:, duration, start] = (weight * samples).sum((1, 2))
    rows = (rows + state[f'{roi}.conv3d.0.bias'][:, None, None]).relu()
    return _map_head(state, _conv(state, f'{roi}.conv2d.0', rows).relu(), 2), *scores


def _between(y: Tensor, time: float) -> Tensor:
    """Linear interpolation that rounds towards zero; left of the video its weights are those that
    the sign of the fraction gives."""
    fraction, low = math.modf(time)
    value = torch.zeros_like(y[:, 0])
    for place, weight in ((int(low), 1 - fraction), (math.ceil(time), fraction)):
        if 0 <= place < y.shape[1]:
            value = value + weight * y[:, place]
    return value


def gtad(
    state: State, x: Tensor, durations: int, samples: tuple[int, int], opentad: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Like :func:`opentad_bmn`, of G-TAD, the authors' or OpenTAD's for ActivityNet."""
    roi = 'roi_head.proposal_roi_extractor'
    first, blocks = 'backbone1.0', ['backbone1.2', 'regu_s.0', 'regu_e.0', 'backbone2.0']
    lasts = ['regu_s.1', 'regu_e.1']
    if opentad:
        first, blocks = 'projection.convs.0.conv', ['neck', 'rpn_head.tem.0.0', 'rpn_head.tem.1.0']
        blocks.append(f'{roi}.gcnext')
        lasts = ['rpn_head.tem.0.1.conv', 'rpn_head.tem.1.1.conv']
    x = _graph(state, blocks[0], _conv(state, first, x, 4).relu())
    scores = [
        _conv(state, last, _graph(state, block, x)).sigmoid()[0]
        for block, last in zip(blocks[1:3], lasts)
    ]
    x = _graph(state, blocks[3], x)
    context = torch.stack([x[:, near].mean(1) for near in _nearest(x)], 1)
    size = x.shape[1]
    sampled = x.new_zeros(len(x), sum(samples), durations, size)
    for duration, start in np.ndindex(durations, size):
        interval = (0, 0)
        if start + duration < size:
            reach = 0.5 * (duration + 1)
            interval = (start - reach, start + duration + reach + (1 if opentad else 0))
        sampled[:, :, duration, start] = torch.cat(
            [
                part @ torch.from_numpy(align(np.eye(size), *interval, number)).to(part).T
                for part, number in zip((x, context), samples)
            ],
            1,
        )
    y = sampled.flatten(0, 1)
    if opentad:
        return _map_head(state, _conv(state, f'{roi}.conv2d.0', y).relu(), 3), *scores
    for index in (0, 2, 4, 6):
        y = _conv(state, f'localization.{index}', y).relu()
    return _conv(state, 'localization.8', y).sigmoid(), *scores


def _nearest(x: Tensor) -> list[list[int]]:
    """The three nearest snippets of each."""
    distance = [[float((a - b).square().sum()) for b in x.T] for a in x.T]
    return [sorted(range(len(row)), key=row.__getitem__)[:3] for row in distance]


def _graph(state: State, name: str, x: Tensor) -> Tensor:
    y = x
    for index, groups in ((0, 1), (2, 32), (4, 1)):
        y = _conv(state, f'{name}.tconvs.{index}', y, groups)
        y = y if index == 4 else y.relu()
    edges = torch.stack(
        [
            torch.stack([torch.cat([x[:, s], x[:, t]]) for s in near], 1)
            for t, near in enumerate(_nearest(x))
        ],
        1,
    )  # (2 C, T, 3)
    for index, groups in ((0, 1), (2, 32), (4, 1)):
        edges = _conv(state, f'{name}.sconvs.{index}', edges, groups)
        edges = edges if index == 4 else edges.relu()
    return (x + y + edges.max(2).values).relu()
