"""Import machinery that both kinds of optional parts use."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
from collections.abc import Sequence
from types import ModuleType
from typing import Any


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
