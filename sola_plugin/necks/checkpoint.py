"""Checkpoints: those of a neck hold plain tensors, the record that rebuilds it, and its origin."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from sola_plugin.io import atomic_write

from .neck import RECORD_KEY, Neck, build_recorded

#: The key that tells where in a checkpoint without a record the weights of SoLa are.
_MARK = 'conv_network.0.weight'


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or is that of another model."""


def read_checkpoint(
    path: str | os.PathLike, what: str = 'checkpoint', hint: str = 'Is it complete?'
) -> Any:
    """Read a checkpoint file, weights-only.

    Args:
        path: The file.
        what: What it should be, for messages.
        hint: What to do when it cannot be read.

    Returns:
        What it holds.

    Raises:
        CheckpointError: It is torn, or no checkpoint.
        FileNotFoundError: No such file.
    """
    path = os.fspath(path)
    try:
        return CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    except FileNotFoundError:
        raise FileNotFoundError(f'{what} {path} does not exist') from None
    except Exception as error:  # torch raises many kinds for a torn or foreign file
        raise CheckpointError(f'cannot read the {what} {path}: {error}. {hint}') from error


def save_sola(path: str | os.PathLike, neck: Neck, meta: dict | None = None) -> None:
    """Write a neck as a small file: ``dict(state_dict, neck, meta)``.

    Args:
        path: File name, usually ``sola.pth``. It appears only when complete.
        neck: A :class:`SoLa`, or another :class:`~.neck.Neck`.
        meta: Plain values (numbers, strings, lists, dicts) to keep beside the weights.
    """
    weights = {key: value.detach().cpu().clone() for key, value in neck.state_dict().items()}
    with atomic_write(path, 'wb') as file:
        torch.save(dict(state_dict=weights, neck=neck.settings, meta=meta or {}), file)


def read_sola(path: str | os.PathLike) -> dict:
    """Read the checkpoint of a neck, ours or the authors', without running any code from it.

    Args:
        path: A file of :func:`save_sola`, an mmengine checkpoint of a model with one neck in it, or
            a state dict of the authors' code.

    Returns:
        ``dict(state_dict, neck, meta)``; ``neck``, the record of the neck
        (:attr:`~.neck.Neck.settings`), and ``meta`` are empty when the file has none.

    Raises:
        FileNotFoundError: No such file.
        ValueError: The file cannot be read, or holds the weights of no neck or of several.
    """
    path = os.fspath(path)
    checkpoint = read_checkpoint(
        path,
        'SoLa checkpoint',
        'Is the file complete, and does it hold plain tensors? Make it again with '
        'tools/pretrain_sola.py',
    )
    weights = weights_of(checkpoint, path)
    neck, meta = (_part(checkpoint, key, path) for key in ('neck', 'meta'))
    if neck:
        state = dict(weights)
    elif recorded := _outermost_records(weights):
        prefix = _only(list(recorded), path)
        neck, state = recorded[prefix], _below(weights, prefix)
    else:
        prefix = _only([key[: -len(_MARK)] for key in weights if key.endswith(_MARK)], path)
        ours = ('conv_network.', 'alpha', 'standardization.')
        state = {k: v for k, v in _below(weights, prefix).items() if k.startswith(ours)}
    return dict(state_dict=state, neck=neck, meta=meta)


def weights_of(checkpoint: Any, path: str | os.PathLike) -> Mapping[str, Tensor]:
    """The state dict in what a checkpoint file holds.

    Args:
        checkpoint: A state dict, or a dict with one as ``state_dict`` or ``model``.
        path: The file, for messages.

    Raises:
        ValueError: It is something else.
    """
    weights = checkpoint
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            weights = checkpoint[key]
            break
    if not isinstance(weights, Mapping):
        raise ValueError(
            f'the checkpoint {os.fspath(path)} holds a {type(weights).__name__}, expected a dict '
            'of weights, or one with a state_dict'
        )
    for key, value in weights.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(
                f'the checkpoint {os.fspath(path)} holds a {type(value).__name__} as weight '
                f'{key!r:.80}, expected a tensor'
            )
    return weights


def changed_necks(model: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Compare the necks of a model with the records that came with weights for it.

    Args:
        model: The model.
        weights: State dict; one without metadata has no records.

    Returns:
        What differs, in words; empty if nothing does.
    """
    records = _records(weights)
    return [
        f'{name}: {change}' if name else change
        for name, neck in model.named_modules()
        if isinstance(neck, Neck)
        for change in neck.changes_since(records.get(name, {}))
    ]


def load_sola_weights(neck: Neck, path: str | os.PathLike) -> None:
    """Load the weights of a checkpoint into the neck that they belong to.

    Args:
        neck: A :class:`SoLa`, or another :class:`~.neck.Neck`.
        path: See :func:`read_sola`.

    Raises:
        ValueError: The checkpoint is of another neck; the message says what differs and gives the
            config line that fits the checkpoint.
    """
    _load(neck, read_sola(path), path)


def build_sola(
    path: str | os.PathLike, record: Mapping[str, Any] | None = None, **options: Any
) -> Neck:
    """Rebuild the neck that a checkpoint holds, with its weights.

    Args:
        path: See :func:`read_sola`.
        record: Stands in for the record of a file that has none, whose dilations do not show;
            ``None``: that of a SoLa with the sizes of the weights.
        options: Arguments of the neck that are not stored, such as ``frozen=True``.

    Returns:
        A :class:`SoLa`, or what the file says: a :class:`~.neck.Neck` of this package, or another
        that is registered.

    Raises:
        ValueError: The file cannot be read, is of another neck than ``options`` say, or asks for
            what is no neck.
    """
    checkpoint = read_sola(path)
    record = checkpoint['neck'] or record
    record = record or dict(type='SoLa', **_size(checkpoint['state_dict'], path))
    where = f'the checkpoint {os.fspath(path)}'
    # Without memory first: what a file claims is not more than what it holds.
    with torch.device('meta'):
        _check(build_recorded(record, where, **options), checkpoint, path)
    neck = build_recorded(record, where, **options)
    _load(neck, checkpoint, path)
    return neck


def weights_hash(model: Any) -> str | None:
    """SHA-256 of the names and values of a model's weights; ``None`` where it has none."""
    if not isinstance(model, nn.Module):
        return None
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _load(neck: Neck, checkpoint: dict, path: str | os.PathLike) -> None:
    _check(neck, checkpoint, path)
    neck.load_state_dict(checkpoint['state_dict'])
    # A neck that goes on learning must not average its statistics with those of pretraining, which
    # may have been on other data. A frozen one keeps them.
    neck.restart()


def _check(neck: Neck, checkpoint: dict, path: str | os.PathLike) -> None:
    """Refuse a checkpoint of another neck."""
    state: dict[str, Tensor] = checkpoint['state_dict']
    own = neck.state_dict()
    wrong = [
        f'{key}: {tuple(state[key].shape) if key in state else "missing"}, '
        f'expected {tuple(value.shape)}'
        for key, value in own.items()
        if key not in state or state[key].shape != value.shape
    ]
    wrong += [f'{key}: not expected' for key in state if key not in own]
    wrong += neck.changes_since(checkpoint['neck'])
    if wrong:
        record = checkpoint['neck'] or dict(type='SoLa', **_size(state, path))
        fitting = ', '.join(f'{key}={value!r}' for key, value in record.items())
        raise ValueError(
            f'the SoLa checkpoint {os.fspath(path)} does not fit the neck '
            f'({"; ".join(wrong)}). The checkpoint fits neck=dict({fitting})'
        )


def _size(state: dict[str, Tensor], path: str | os.PathLike) -> dict:
    """Arguments of SoLa as far as the shapes of its weights tell them (dilations do not show)."""
    if state[_MARK].dim() != 3:
        raise ValueError(
            f'the checkpoint {os.fspath(path)}: {_MARK} is {tuple(state[_MARK].shape)}, expected '
            '(H, C, kernel size)'
        )
    hidden, channels, first = state[_MARK].shape
    sizes: dict = dict(in_channels=channels, hidden_channels=hidden)
    if 'conv_network.2.weight' in state:
        sizes['kernel_sizes'] = (first, state['conv_network.2.weight'].shape[-1])
    if any(key.startswith('standardization.') for key in state):
        sizes['standardize'] = True
    return sizes


def _part(checkpoint: Any, key: str, path: str) -> dict:
    """A dict that a file may hold beside the weights."""
    content = checkpoint.get(key, {})
    if not isinstance(content, Mapping):
        raise ValueError(
            f'the checkpoint {path} holds a {type(content).__name__} under {key!r}, expected a dict'
        )
    return dict(content)


def _records(weights: Mapping[str, Tensor]) -> dict[str, dict]:
    """Records of necks in the metadata of a state dict, by the name of the module."""
    metadata = getattr(weights, '_metadata', None)
    if not isinstance(metadata, Mapping):
        return {}
    return {
        name: dict(entry[RECORD_KEY])
        for name, entry in metadata.items()
        if isinstance(entry, Mapping) and isinstance(entry.get(RECORD_KEY), Mapping)
    }


def _outermost_records(weights: Mapping[str, Tensor]) -> dict[str, dict]:
    """Prefix of the keys → record, of the necks that are no part of another."""
    records = {f'{name}.' if name else '': record for name, record in _records(weights).items()}
    return {
        prefix: record
        for prefix, record in records.items()
        if not any(prefix != other and prefix.startswith(other) for other in records)
    }


def _only(prefixes: list[str], path: str) -> str:
    if len(prefixes) > 1:
        raise ValueError(f'{path} holds the weights of several SoLa necks: {prefixes}')
    if not prefixes:
        raise ValueError(
            f'{path} holds the weights of 0 SoLa necks, expected one: no key ends in {_MARK!r}'
        )
    return prefixes[0]


def _below(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
