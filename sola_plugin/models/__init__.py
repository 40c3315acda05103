"""Models; importing this package registers them in mmaction2's registry."""

from . import layers, localizers, losses, necks, postprocessing, pretraining

__all__ = ['layers', 'localizers', 'losses', 'necks', 'postprocessing', 'pretraining']
