"""What tools and users call: configs from the command line, training, testing, result files.

The names below are imported when they are asked for, so that the modules that need neither torch nor
mmengine (``file_pair``, ``result_files``) do without them.
"""
from __future__ import annotations

from sola_plugin.utils import lazy_names

_MODULE_OF = {
    'add_runner_arguments': 'cli',
    'check_config': 'dataset_check',
    'check_dataset': 'dataset_check',
    'check_files': 'dataset_check',
    'load_config': 'cli',
    'load_localizer': 'localization',
    'load_results': 'result_files',
    'localize': 'localization',
    'read_pair': 'file_pair',
    'test_localizer': 'testing',
    'train_localizer': 'training',
}

__all__ = list(_MODULE_OF)

__getattr__ = lazy_names(__name__, _MODULE_OF)
