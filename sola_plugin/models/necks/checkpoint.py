"""SoLa checkpoints: plain tensors and the settings that rebuild the neck."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from mmaction.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from sola_plugin.utils import atomic_write

if TYPE_CHECKING:
    from .sola import SoLa

#: The key that tells where in a checkpoint the weights of SoLa are.
_MARK = 'conv_network.0.weight'


def save_sola(path: str | os.PathLike, neck: nn.Module, meta: dict | None = None) -> None:
    """Write the neck as a small file: ``dict(state_dict, neck, meta)``.

    Args:
        path: File name, usually ``sola.pth``. It appears only when complete.
        neck: A :class:`SoLa`.
        meta: Plain values (numbers, strings, lists, dicts) to keep beside the weights.
    """
    weights = {key: value.detach().cpu().clone() for key, value in neck.state_dict().items()}
    with atomic_write(path, 'wb') as file:
        torch.save(dict(state_dict=weights, neck=neck.settings, meta=meta or {}), file)


def read_sola(path: str | os.PathLike) -> dict:
    """Read a SoLa checkpoint, ours or the authors', without running any code from it.

    Args:
        path: A file of :func:`save_sola`, an mmengine checkpoint of a model with a SoLa in it, or a
            state dict of the authors' code.

    Returns:
        ``dict(state_dict, neck, meta)``; ``neck`` and ``meta`` are empty when the file has none.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file cannot be read, or holds the weights of no SoLa or of several.
    """
    path = os.fspath(path)
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except FileNotFoundError:
        raise FileNotFoundError(f'SoLa checkpoint {path} does not exist') from None
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ValueError(
            f'cannot read the SoLa checkpoint {path}: {error}. Is the file complete, and '
            'does it hold plain tensors? Make it again with tools/pretrain_sola.py'
        ) from error
    weights = checkpoint.get('state_dict', checkpoint)
    prefixes = [key[: -len(_MARK)] for key in weights if key.endswith(_MARK)]
    if len(prefixes) != 1:
        raise ValueError(
            f'{path} holds the weights of {len(prefixes)} SoLa necks, expected one: no key '
            f'ends in {_MARK!r}'
            if not prefixes
            else f'{path} holds the weights of several SoLa necks: {prefixes}'
        )
    prefix = prefixes[0]
    state = {
        key[len(prefix) :]: value
        for key, value in weights.items()
        if key[len(prefix) :].startswith(('conv_network.', 'alpha', 'standardization.'))
        and key.startswith(prefix)
    }
    return dict(
        state_dict=state,
        neck=dict(checkpoint.get('neck', {})),
        meta=dict(checkpoint.get('meta', {})),
    )


def load_sola_weights(neck: SoLa, path: str | os.PathLike) -> None:
    """Load the weights of a SoLa checkpoint into a neck of the same size.

    Args:
        neck: A :class:`SoLa`.
        path: See :func:`read_sola`.

    Raises:
        ValueError: The checkpoint is of another size; the message gives both and the config line
            that fits the checkpoint.
    """
    state: dict[str, Tensor] = read_sola(path)['state_dict']
    own = neck.state_dict()
    wrong = [
        f'{key}: {tuple(state[key].shape) if key in state else "missing"}, '
        f'expected {tuple(value.shape)}'
        for key, value in own.items()
        if key not in state or state[key].shape != value.shape
    ]
    wrong += [f'{key}: not expected' for key in state if key not in own]
    if wrong:
        fitting = ', '.join(f'{key}={value}' for key, value in _size(state).items())
        raise ValueError(
            f'the SoLa checkpoint {os.fspath(path)} does not fit the neck '
            f"({'; '.join(wrong)}). The checkpoint fits neck=dict(type='SoLa', {fitting})"
        )
    neck.load_state_dict(state)
    if neck.standardization is not None:
        # A neck that goes on learning must not average its statistics with those of pretraining,
        # which may have been on other data. A frozen one keeps them.
        neck.standardization.restart()


def build_sola(path: str | os.PathLike, **options) -> nn.Module:
    """Rebuild the neck that a SoLa checkpoint holds, with its weights.

    Args:
        path: See :func:`read_sola`.
        options: Arguments of :class:`SoLa` that are not stored, such as ``frozen=True``.

    Returns:
        A :class:`SoLa`.
    """
    checkpoint = read_sola(path)
    settings = checkpoint['neck'] or dict(type='SoLa', **_size(checkpoint['state_dict']))
    neck = MODELS.build({**settings, **options})
    load_sola_weights(neck, path)
    return neck


def _size(state: dict[str, Tensor]) -> dict:
    """Arguments of SoLa as far as the shapes of its weights tell them (dilations do not show)."""
    hidden, channels, first = state[_MARK].shape
    sizes: dict = dict(in_channels=channels, hidden_channels=hidden)
    if 'conv_network.2.weight' in state:
        sizes['kernel_sizes'] = (first, state['conv_network.2.weight'].shape[2])
    if any(key.startswith('standardization.') for key in state):
        sizes['standardize'] = True
    return sizes
