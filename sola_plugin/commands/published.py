"""Published checkpoints of the heads, and of SoLa, as files that the tools of this package take."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from torch import Tensor

from sola_plugin.heads.actionformer import published as actionformer
from sola_plugin.heads.bmn import published as bmn
from sola_plugin.heads.gtad import published as gtad
from sola_plugin.heads.shared.published import Converted, Weights
from sola_plugin.io import atomic_write
from sola_plugin.messages import first_few
from sola_plugin.necks.checkpoint import (
    CheckpointError,
    build_sola,
    read_checkpoint,
    save_sola,
    weights_of,
)
from sola_plugin.pretraining.agreement import CONVERTED_KEY, check_agreement, training_record

from .testing import fit_weights


@dataclasses.dataclass(frozen=True)
class Kind:
    """A published model.

    Attributes:
        title: What it is.
        mark: A weight that no other kind has.
        convert: Moves its weights; ``None``: it is a neck.
    """

    title: str
    mark: str
    convert: Callable[[Weights], Converted] | None


KINDS: Mapping[str, Kind] = {
    'actionformer': Kind(
        "ActionFormer of its authors' release",
        'backbone.embd.0.conv.weight',
        actionformer.from_authors,
    ),
    'actionformer-opentad': Kind(
        'ActionFormer of OpenTAD', 'projection.embed.0.conv.weight', actionformer.from_opentad
    ),
    'bmn-opentad': Kind(
        'BMN of OpenTAD',
        'roi_head.proposal_roi_extractor.reduce_dim.0.weight',
        bmn.from_opentad,
    ),
    'gtad': Kind("G-TAD of its authors' release", 'backbone1.0.weight', gtad.from_authors),
    'gtad-opentad': Kind(
        'G-TAD of OpenTAD, for ActivityNet',
        'roi_head.proposal_roi_extractor.gcnext.tconvs.0.weight',
        gtad.from_opentad,
    ),
    'sola': Kind('SoLa of its authors', 'conv_network.0.weight', None),
}

#: Weights of what needs no conversion, and what is to be said of it.
_AS_IT_IS = {
    'x_1d_b.0.weight': "mmaction2's BMN",
    'pyramid.projection.0.conv.weight': 'an ActionFormer of this package',
}

#: Where the averaged and the last weights of a training are.
WEIGHTS = {'ema': 'state_dict_ema', 'last': 'state_dict'}


#: Buffers that a model makes from its config.
_MADE = ('bm_mask',)


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was done.

    Attributes:
        kind: Of :data:`KINDS`.
        weights: Which of the weights in the file were taken.
        model: What the weights tell of the config, ``model`` of a localizer, or ``neck``.
        unseen: What they do not tell, a line each.
        numbers: How many weights there are.
    """

    kind: str
    weights: str
    model: dict[str, Any]
    unseen: tuple[str, ...]
    numbers: int


def convert_checkpoint(
    source: str | os.PathLike,
    out: str | os.PathLike,
    kind: str | None = None,
    weights: str | None = None,
    config: Config | None = None,
    force: bool = False,
) -> Conversion:
    """Turn a published checkpoint into one of this package.

    The file is read weights-only. Every weight in it is accounted for, and a model of its shapes is
    loaded with the result, before anything is written.

    Args:
        source: The file.
        out: Checkpoint to write, for ``test.py`` and ``localize.py``; of SoLa, for ``init_cfg``.
        kind: Of :data:`KINDS`; ``None``: the names of the weights tell.
        weights: ``'ema'``, the averaged ones, or ``'last'``; ``None``: the averaged ones where the
            file has them.
        config: Config of a localizer that the weights must fit; its classes become those of the
            checkpoint.
        force: Write over ``out``.

    Returns:
        What was done.

    Raises:
        FileExistsError: ``out`` is there.
        FileNotFoundError: ``source`` is not.
        CheckpointError: It cannot be read, is nothing that can be converted, or does not fit the
            config.
    """
    path = os.fspath(source)
    if Path(out).exists() and not force:
        raise FileExistsError(f'{os.fspath(out)} is there: choose another name, or --force')
    content = read_checkpoint(path, hint='Is it complete, and a file of torch.save with tensors?')
    taken, state = _chosen(content, weights, path)
    kind = kind or _kind_of(state, path)
    chosen = KINDS[kind]
    if chosen.convert is None:
        if config is not None:
            raise CheckpointError(
                f'{path} is {chosen.title}, a neck: it has no config of a localizer to fit; '
                'leave --config out'
            )
        return _convert_neck(path, out, kind, taken, state)
    try:
        done = chosen.convert(Weights(state, chosen.title))
        _check_shapes(done, chosen.title)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from error
    record = dict(kind=kind, source=Path(path).name, weights=taken, needs=done.needs)
    checkpoint: dict[str, Any] = dict(state_dict=done.state_dict, meta={CONVERTED_KEY: record})
    if config is not None:
        check_agreement(checkpoint, config, path)
        fit_weights(MODELS.build(config.model), done.state_dict, path)
        classes = training_record(config).get('classes')
        if classes is not None:
            checkpoint['meta']['dataset_meta'] = dict(classes=classes)
    with atomic_write(out, 'wb') as file:
        torch.save(checkpoint, file)
    return Conversion(kind, taken, done.model, done.unseen, len(state))


def _chosen(content: Any, weights: str | None, path: str) -> tuple[str, dict[str, Tensor]]:
    """Which weights of a file, and these, without the prefix of the wrapper of several GPUs."""
    holds = content if isinstance(content, Mapping) else {}
    if weights is not None and not isinstance(holds.get(WEIGHTS[weights]), Mapping):
        raise CheckpointError(
            f'{path} has no {WEIGHTS[weights]}: expected a dict with it, got '
            f'{first_few(holds, 5) or type(content).__name__}; leave --weights out'
        )
    if weights is None:
        weights = 'ema' if isinstance(holds.get(WEIGHTS['ema']), Mapping) else 'last'
    taken = WEIGHTS[weights]
    try:
        state = weights_of(dict(state_dict=holds[taken]) if taken in holds else content, path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    for name, value in state.items():
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(
                f'{path}: {name} claims the shape {tuple(value.shape)} and holds fewer values'
            )
    return taken, {name.removeprefix('module.'): value for name, value in state.items()}


def _kind_of(state: Mapping[str, Tensor], path: str) -> str:
    for mark, what in _AS_IT_IS.items():
        if mark in state:
            raise CheckpointError(
                f'{path} is {what}: tools/test.py and tools/localize.py take it as it is'
            )
    kinds = [name for name, kind in KINDS.items() if kind.mark in state]
    if len(kinds) != 1:
        raise CheckpointError(
            f'{path} holds the weights of nothing that is known ({first_few(state)}): expected '
            f'{"; ".join(kind.title for kind in KINDS.values())}'
        )
    return kinds[0]


def _check_shapes(done: Converted, title: str) -> None:
    """Load a model of the shapes that the weights tell, so that they agree with each other."""
    try:
        with torch.device('meta'):
            expected = MODELS.build({**done.model, **done.probe}).state_dict()
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        raise CheckpointError(f'the sizes of the weights are of no {title}: {error}') from error
    wrong = [
        f'{done.origin[name]}: {tuple(value.shape)}, expected {tuple(expected[name].shape)}'
        if name in expected
        else f'{done.origin[name]}: not expected'
        for name, value in done.state_dict.items()
        if name not in expected or value.shape != expected[name].shape
    ]
    wrong += [f'{name}: missing' for name in expected if name not in (*done.state_dict, *_MADE)]
    if wrong:
        raise CheckpointError(f'shapes do not fit {title}: {first_few(wrong)}')


def _convert_neck(
    path: str, out: str | os.PathLike, kind: str, taken: str, state: Mapping[str, Tensor]
) -> Conversion:
    try:
        neck = build_sola(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    others = [name for name in state if name not in neck.state_dict()]
    if others:
        raise CheckpointError(
            f'{path}: {len(others)} weights have no place in {KINDS[kind].title}: '
            f'{first_few(others)}'
        )
    save_sola(out, neck)
    return Conversion(
        kind,
        taken,
        neck.settings,
        ('dilations: 1 and 1 are taken, as in its paper',),
        len(state),
    )
