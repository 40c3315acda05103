"""The one place that mends the installed stack.

Each mend names the symptom that it cures and tests that it is needed. A mend is applied when the
module concerned is imported, and a stack that works is left alone. What has been tested with it:
docs/install.md.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import wrapt

from .imports import distutils, importlib_metadata, optional_imports, optional_parts, placeholders
from .running import (
    checkpoints_do_not_act,
    config_copies,
    list_in_metafile,
    log_errors,
    numpy_trapz,
    pkg_resources_gone,
    repeated_layout,
    unknown_package,
    weights_only_checkpoints,
    whole_files,
)

__all__ = ['install', 'mended', 'placeholders']

#: Mends that were applied in this process, with the symptom that each one cures.
mended: dict[str, str] = {}


def install() -> None:
    """Arrange for every mend; nothing of the stack is imported by this call."""
    _apply(importlib_metadata)
    _apply(distutils)
    needless_warnings()
    optional_imports()
    optional_parts()
    for module, mend in (
        ('mmaction', numpy_trapz),
        ('mmengine.utils.package_utils', pkg_resources_gone),
        ('mmengine.config.config', repeated_layout),
        ('mmengine.config.utils', list_in_metafile),
        ('mmengine.config.config', unknown_package),
        ('mmengine.config.config', config_copies),
        ('mmengine.fileio.backends.local_backend', whole_files),
        ('mmengine.logging.logger', log_errors),
        ('mmengine.runner.checkpoint', weights_only_checkpoints),
        ('mmengine.runner.checkpoint', checkpoints_do_not_act),
    ):
        wrapt.register_post_import_hook(functools.partial(_apply, mend), module)


def _apply(mend: Callable[..., bool], *module: Any) -> None:
    if mend(*module):
        symptom = (mend.__doc__ or '').partition('\n\n')[0]
        mended[mend.__name__] = ' '.join(symptom.split()).removeprefix('Symptom: ')


def needless_warnings() -> None:
    """Symptom: every command begins with warnings that the user can do nothing about.

    mmcv-lite misses a CUDA operator that no part of this package uses; mmengine uses
    ``pkg_resources``, and mmaction2 an old name of ``timm``.
    """
    for message, category in (
        ('Fail to import ``MultiScaleDeformableAttention``', UserWarning),
        ('pkg_resources is deprecated', UserWarning),
        ('Importing from timm.models.layers is deprecated', FutureWarning),
    ):
        warnings.filterwarnings('ignore', message=message, category=category)
