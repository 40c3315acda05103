"""Optional imports of mmengine that fail in another way than mmengine expects."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Sequence
from types import ModuleType

from .loading import WrappedLoader, WrappingFinder

#: They try packages within ``except ImportError``: transformers, bitsandbytes, apex, deepspeed ...
_MODULES = frozenset(
    {
        'mmengine._strategy.deepspeed',
        'mmengine.optim.optimizer.apex_optimizer_wrapper',
        'mmengine.optim.optimizer.builder',
    }
)


def optional_imports() -> None:
    """Symptom: ``import mmengine.optim`` fails with an error of ``transformers`` or the like.

    mmengine looks whether an optional package is there, and takes an ``ImportError`` for a no. A
    package that is installed and broken raises anything: within these modules of mmengine it
    becomes an ``ImportError``.
    """
    sys.meta_path.insert(0, _Finder(_Loader))


class _Finder(WrappingFinder):
    def concerns(self, name: str) -> bool:
        return name in _MODULES


class _Loader(WrappedLoader):
    def exec_module(self, module: ModuleType) -> None:
        """See ``importlib.abc.Loader``."""
        # The import statements of this one module find this function, and no others do.
        module.__dict__['__builtins__'] = {**vars(builtins), '__import__': _import}
        self.loader.exec_module(module)


def _import(name: str, globals=None, locals=None, fromlist: Sequence[str] = (), level: int = 0):
    try:
        module = builtins.__import__(name, globals, locals, fromlist, level)
        for part in fromlist or ():
            hasattr(module, part)  # a lazy package imports it now
    except ImportError:
        raise
    except Exception as error:
        raise ImportError(f'{name}: {type(error).__name__}: {error}') from error
    return module
