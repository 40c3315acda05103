"""From one video or feature file to its actions, and the files that show them."""

from .localizing import class_names, find_classifier, load_localizer, localize

__all__ = ['class_names', 'find_classifier', 'load_localizer', 'localize']
