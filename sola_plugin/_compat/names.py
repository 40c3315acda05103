"""Names that mmaction2 takes from other packages and that are not there."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from types import ModuleType


def is_installed(module: str) -> bool:
    """Whether a top-level module can be found; it is not imported."""
    return importlib.util.find_spec(module) is not None


def importlib_metadata() -> bool:
    """Symptom: ``No module named 'importlib_metadata'`` on ``import mmaction.utils``.

    mmaction2 imports the backport without declaring it. The standard library has had the same names
    since Python 3.8.
    """
    if is_installed('importlib_metadata'):
        return False
    sys.modules['importlib_metadata'] = metadata
    return True


def numpy_trapz(_mmaction: ModuleType) -> bool:
    """Symptom: ``module 'numpy' has no attribute 'trapz'`` in mmaction2's ``ANetMetric`` (AR@AN).

    numpy 2.0 renamed the function to ``trapezoid`` and 2.4 removed the old name.
    """
    import numpy

    if hasattr(numpy, 'trapz'):
        return False
    numpy.trapz = numpy.trapezoid  # type: ignore[attr-defined]
    return True
