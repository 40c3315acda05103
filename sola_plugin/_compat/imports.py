"""Mends of what fails while it is imported, see :mod:`sola_plugin._compat`."""

from __future__ import annotations

import ast
import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

#: These of mmengine try packages within ``except ImportError``: transformers, bitsandbytes ...
_LOOKING = frozenset(
    {
        'mmengine._strategy.deepspeed',
        'mmengine.optim.optimizer.apex_optimizer_wrapper',
        'mmengine.optim.optimizer.builder',
        'mmengine.utils.dl_utils.collect_env',
    }
)

#: Without these there is no localizer: their own error is the right one.
_NEEDED = frozenset(
    f'mmaction.{name}'
    for name in (
        'registry',
        'structures.action_data_sample',
        'models.localizers',
        'models.localizers.bmn',
        'models.localizers.bsn',
        'models.localizers.tcanet',
        'models.localizers.utils',
        'models.localizers.utils.bsn_utils',
        'models.localizers.utils.proposal_utils',
    )
)

#: Module of mmaction2 → why it is a placeholder.
placeholders: dict[str, str] = {}


def is_installed(module: str) -> bool:
    """Whether a top-level module can be found; it is not imported."""
    return importlib.util.find_spec(module) is not None


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


def importlib_metadata() -> bool:
    """Symptom: ``No module named 'importlib_metadata'`` on ``import mmaction.utils``.

    mmaction2 imports the backport without declaring it. The standard library has had the same names
    since Python 3.8. A backport that is there and cannot be imported, as newer ones without the
    packages that they need, is no better than none.
    """
    try:
        importlib.import_module('importlib_metadata')
    except Exception:
        sys.modules['importlib_metadata'] = metadata
        return True
    return False


def distutils() -> bool:
    """Symptom: ``No module named 'distutils'`` when a Runner is built, on Python 3.12 and later.

    mmengine names one of its errors. setuptools brings it where Python reads, at its start, the
    file that switches it on; a path file that adds a folder of packages is not enough.
    """
    if is_installed('distutils'):
        return False
    if is_installed('_distutils_hack'):
        importlib.import_module('_distutils_hack').add_shim()
    else:
        errors = ModuleType('distutils.errors')
        errors.DistutilsPlatformError = OSError  # type: ignore[attr-defined]
        package = ModuleType('distutils')
        package.errors = errors  # type: ignore[attr-defined]
        sys.modules.update({'distutils': package, 'distutils.errors': errors})
    return True


class WrappingFinder(importlib.abc.MetaPathFinder):
    """Finds certain modules as everybody does, and gives them a loader around their own.

    Args:
        loader: A subclass of :class:`WrappedLoader`.
    """

    def __init__(self, loader: type[WrappedLoader]) -> None:
        self.loader = loader
        self._in_search: set[str] = set()

    def concerns(self, name: str) -> bool:
        """Whether the module of that name gets the loader."""
        raise NotImplementedError

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        if name in self._in_search or not self.concerns(name):
            return None
        self._in_search.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._in_search.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = self.loader(spec.loader)
        return spec


class WrappedLoader(importlib.abc.Loader):
    """A loader that leaves all but the execution to another one.

    Args:
        loader: The other one.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """See ``importlib.abc.Loader``."""
        return self.loader.create_module(spec)


def optional_imports() -> None:
    """Symptom: ``import mmengine.optim`` fails with an error of ``transformers`` or the like.

    mmengine looks whether an optional package is there, and takes an ``ImportError`` for a no. A
    package that is installed and broken raises anything: within these modules of mmengine it
    becomes an ``ImportError``.
    """
    sys.meta_path.insert(0, _LookingFinder(_LookingLoader))


class _LookingFinder(WrappingFinder):
    def concerns(self, name: str) -> bool:
        return name in _LOOKING


class _LookingLoader(WrappedLoader):
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
        raise ModuleNotFoundError(f'{name}: {type(error).__name__}: {error}') from error
    return module


def optional_parts() -> None:
    """Symptom: ``import mmaction.models`` fails for a part that no localizer needs.

    mmaction2 imports all of its parts at once. One is missing from the wheel of mmaction2 1.2.0
    (DRN); others need names that newer versions of ``transformers`` or ``timm`` have removed, or a
    package that is broken. While a package of mmaction2 is imported, a part that fails is replaced
    by a placeholder and the import goes on: what is taken from it raises the reason when it is
    used. Failures that mmaction2 itself expects are left to it.
    """
    sys.meta_path.insert(0, _PartsFinder(_PatientLoader))


class _PartsFinder(WrappingFinder):
    """Lets the packages of mmaction2 be imported with placeholders for the parts that fail."""

    def concerns(self, name: str) -> bool:
        return name.startswith('mmaction.') and name.count('.') == 1

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        parent = name
        while parent:
            parent = parent.rpartition('.')[0]
            if parent in placeholders:
                return importlib.machinery.ModuleSpec(name, _PlaceholderLoader(parent))
        return super().find_spec(name, path, target)


class _PatientLoader(WrappedLoader):
    """Runs a package of mmaction2 again for every part that had to be replaced."""

    def exec_module(self, module: ModuleType) -> None:
        """See ``importlib.abc.Loader``."""
        while True:
            try:
                return self.loader.exec_module(module)
            except Exception as error:
                part = _failed_part(error)
                if part is None or part in placeholders:
                    raise
                _replace(part, error)


class _PlaceholderLoader(importlib.abc.Loader):
    """Loads what lies below a placeholder: more placeholders."""

    def __init__(self, part: str) -> None:
        self.part = part

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """See ``importlib.abc.Loader``."""
        return _Placeholder(spec.name, placeholders[self.part])

    def exec_module(self, module: ModuleType) -> None:
        """See ``importlib.abc.Loader``."""


class _Placeholder(ModuleType):
    """A module whose every name is a class that cannot be built."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__why = why

    def __getattr__(self, name: str) -> type:
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        stand_in = _stand_in(name, self.__name__, self.__why)
        setattr(self, name, stand_in)
        return stand_in


def _stand_in(name: str, part: str, why: str) -> type:
    def refuse(self: object, *args: Any, **kwargs: Any) -> None:
        raise ImportError(f'{name} cannot be used: {part} could not be imported: {why}')

    return type(name, (), {'__init__': refuse, '__module__': part, '__doc__': f'Missing: {why}'})


def _failed_part(error: Exception) -> str | None:
    """The innermost module of mmaction2 that an import failed in, or that is missing.

    Returns:
        ``None`` if the fault is ours, or if the part cannot be done without.
    """
    # Called from exec_module: the first frame is this package's own.
    modules = [frame.f_globals.get('__name__', '') for frame in _frames(error.__traceback__)]
    if any(
        name.partition('.')[0] == 'sola_plugin' and not name.startswith(__package__ or '')
        for name in modules
    ):
        return None
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and missing.startswith('mmaction.'):
        modules.append(missing)
    part = next((name for name in reversed(modules) if name.startswith('mmaction.')), None)
    return None if part is None or part.count('.') < 2 or part in _NEEDED else part


def _frames(traceback: TracebackType | None) -> Iterator[Any]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _replace(part: str, error: Exception) -> None:
    if isinstance(error, ModuleNotFoundError) and error.name == part:
        why = 'the installed mmaction2 lacks it (install mmaction2 from its source)'
    else:
        why = f'{type(error).__name__}: {error}'
    placeholders[part] = why
    sys.modules[part] = _Placeholder(part, why)
    _register_stand_ins(part, why)


def _register_stand_ins(part: str, why: str) -> None:
    """Let a config that names a class of the part hear the reason, too."""
    from mmaction import registry

    *folders, name = part.split('.')[1:]
    assert registry.__file__ is not None
    path = Path(registry.__file__).parent.joinpath(*folders, f'{name}.py')
    if not path.is_file():
        return
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(func=ast.Attribute(ast.Name(known), 'register_module')):
                    found = getattr(registry, known, None)
                    if found is not None and node.name not in found.module_dict:
                        found.register_module(
                            name=node.name, module=_stand_in(node.name, part, why)
                        )
