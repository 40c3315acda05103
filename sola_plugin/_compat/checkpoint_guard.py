"""What a checkpoint asks for beyond its weights, and does not get."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, MutableMapping
from types import ModuleType
from typing import Any

#: How mmengine's CheckpointHook names the best checkpoint.
_BEST = re.compile(r'(.*[/\\])?best_[^/\\]*\.pth', re.DOTALL)


def checkpoints_do_not_act(checkpoint: ModuleType) -> bool:
    """Symptom: resuming a run from a checkpoint runs a program in it, or deletes what it names.

    mmengine's Runner executes ``meta['config']`` as a Python config, to look up a number of GPUs
    that no version since 0.1 writes; and its CheckpointHook deletes the file or folder that the
    message hub calls the best checkpoint, and those whose numbers it lists, when better ones come.

    Args:
        checkpoint: The module ``mmengine.runner.checkpoint``, through which all files are read.
    """
    loader = checkpoint.CheckpointLoader
    load = loader.load_checkpoint.__func__

    @functools.wraps(load)
    def load_checkpoint(cls: type, *args: Any, **kwargs: Any) -> Any:
        return without_orders(load(cls, *args, **kwargs))

    loader.load_checkpoint = classmethod(load_checkpoint)
    return True


def without_orders(checkpoint: Any) -> Any:
    """Take out what mmengine would execute or delete.

    Args:
        checkpoint: What a file holds; changed in place.

    Returns:
        The same.
    """
    if not isinstance(checkpoint, Mapping):
        return checkpoint
    meta, hub = checkpoint.get('meta'), checkpoint.get('message_hub')
    if isinstance(meta, MutableMapping):
        meta.pop('config', None)
    info = hub.get('runtime_info') if isinstance(hub, Mapping) else None
    if isinstance(info, MutableMapping):
        for key in [key for key, value in info.items() if _deletes(key, value)]:
            del info[key]
    return checkpoint


def _deletes(key: Any, value: Any) -> bool:
    """Whether mmengine would delete something else than a checkpoint of its own."""
    if str(key).startswith('best_ckpt'):
        return not (isinstance(value, str) and _BEST.fullmatch(value))
    if key == 'keep_ckpt_ids':
        return not (isinstance(value, (list, tuple)) and all(type(step) is int for step in value))
    return False
