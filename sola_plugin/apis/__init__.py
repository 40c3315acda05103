"""What tools and users call: configs from the command line, training, testing."""
from .cli import add_runner_arguments, load_config
from .testing import test_localizer
from .training import train_localizer

__all__ = ['add_runner_arguments', 'load_config', 'test_localizer', 'train_localizer']
