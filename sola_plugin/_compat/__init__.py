"""The one place that mends the installed stack.

Each mend names the symptom that it cures and tests that it is needed. ``import sola_plugin`` has it
applied when the module concerned is imported, and a stack that works is left alone. What has been
tested with it: docs/install.md.
"""

from __future__ import annotations

from collections.abc import Callable

from .configs import (
    config_copies,
    list_in_metafile,
    pkg_resources_gone,
    repeated_layout,
    torn_grammars,
    unknown_package,
)
from .imports import (
    distutils,
    importlib_metadata,
    needless_warnings,
    optional_imports,
    optional_parts,
    placeholders,
)
from .running import (
    checkpoints_do_not_act,
    figures_of_one_rank,
    log_errors,
    numpy_trapz,
    weights_only_checkpoints,
    whole_files,
)

__all__ = ['AFTER_IMPORT', 'AT_ONCE', 'mended', 'placeholders']

#: Mends that were applied in this process, with the symptom that each one cures.
mended: dict[str, str] = {}

#: Mends that do not wait for a module, in their order; each tells whether it was needed, or
#: nothing where that shows only later.
AT_ONCE: tuple[Callable[[], bool | None], ...] = (
    importlib_metadata,
    distutils,
    needless_warnings,
    optional_imports,
    optional_parts,
)

#: Module of the stack, and the mend that is applied when it is imported.
AFTER_IMPORT: tuple[tuple[str, Callable[..., bool]], ...] = (
    ('yapf_third_party._ylib2to3.pgen2.driver', torn_grammars),
    ('mmaction', numpy_trapz),
    ('mmengine.utils.package_utils', pkg_resources_gone),
    ('mmengine.config.config', repeated_layout),
    ('mmengine.config.utils', list_in_metafile),
    ('mmengine.config.config', unknown_package),
    ('mmengine.config.config', config_copies),
    ('mmengine.fileio.backends.local_backend', whole_files),
    ('mmengine.logging.logger', log_errors),
    ('mmengine.hooks.logger_hook', figures_of_one_rank),
    ('mmengine.runner.checkpoint', weights_only_checkpoints),
    ('mmengine.runner.checkpoint', checkpoints_do_not_act),
)
