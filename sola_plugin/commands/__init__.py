"""What tools and users call: configs from the command line, training, testing, result files.

The names below are imported when they are asked for, so that the modules that need neither torch
nor mmengine (``detections``) do without them.
"""

from __future__ import annotations

from sola_plugin import lazy_names

_MODULE_OF = {
    'add_runner_arguments': 'cli',
    'check_config': 'checks.dataset',
    'check_dataset': 'checks.dataset',
    'check_files': 'checks.dataset',
    'load_config': 'cli',
    'load_localizer': 'localization.localizing',
    'load_results': 'detections.result_files',
    'localize': 'localization.localizing',
    'read_pair': 'detections.inputs',
    'test_localizer': 'testing',
    'train_localizer': 'training',
}

__all__ = list(_MODULE_OF)

__getattr__ = lazy_names(__name__, _MODULE_OF)
