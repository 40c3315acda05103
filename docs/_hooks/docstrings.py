"""How this package's docstrings are read for the API reference.

They are Google style with reStructuredText inside, for readers of the code. The reference is made
of Markdown: roles become links, literal blocks and doctests code blocks, and ``#:`` comments the
docstrings of constants. What a package exports is described where it is defined, once; the package
lists it. A role that names nothing is a warning, which stops a strict build.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator

from griffe import Alias, Docstring, Extension, GriffeError, Module, Object

_LOG = logging.getLogger('mkdocs.plugins.house_docstrings')
_ROLE = re.compile(r':(?:func|class|meth|attr|data|mod|exc):`(~?)\.?([\w.]+)`')
_DOCTEST = re.compile(r'(?m)^( *)>>> (?:.*\n?(?!\n))+')


class HouseDocstrings(Extension):
    """Turns the docstrings of a package into Markdown."""

    def on_package(self, *, pkg: Module, **kwargs) -> None:
        """Visit everything that the package defines."""
        objects = list(_objects(pkg))
        ends: dict[str, list[Object]] = {}
        for obj in objects:
            if obj.is_attribute and obj.docstring is None:
                _read_comment(obj)
            parts = obj.path.split('.')
            for start in range(1, len(parts)):
                ends.setdefault('.'.join(parts[start:]), []).append(obj)
        for obj in objects:
            if obj.docstring is not None:
                obj.docstring.value = _markdown(obj, ends)
        packages = [obj for obj in objects if obj.is_init_module]
        exports = [_exports(package) for package in packages]
        for package, exported in zip(packages, exports, strict=True):
            links = [_reference(obj, name) for name, obj in exported.items()]
            if links:
                package.docstring.value += f'\n\nImported from here: {", ".join(links)}.'
            for name in exported:
                package.members.pop(name, None)


def _objects(parent: Object) -> Iterator[Object]:
    yield parent
    for member in list(parent.members.values()):
        if not isinstance(member, Alias):
            yield from _objects(member)


def _read_comment(obj: Object) -> None:
    """Take the ``#:`` lines above a constant for its docstring."""
    comment: list[str] = []
    lines = obj.module.lines[: obj.lineno - 1] if obj.lineno else []
    while lines and lines[-1].lstrip().startswith('#:'):
        comment.insert(0, lines.pop().lstrip()[2:].strip())
    if comment:
        obj.docstring = Docstring('\n'.join(comment), parent=obj)


def _exports(package: Module) -> dict[str, Object]:
    """What a package takes from its modules, at once or (``_MODULE_OF``) when it is asked for."""
    exported = package.exports or ()
    names = {
        name: name for name, obj in package.members.items() if obj.is_alias and name in exported
    }
    if '_MODULE_OF' in package.members:
        lazy = ast.literal_eval(str(package['_MODULE_OF'].value))
        names |= {name: f'{module}.{name}' for name, module in lazy.items()}
    return {name: _definition(package[names[name]]) for name in sorted(names)}


def _markdown(obj: Object, ends: dict[str, list[Object]]) -> str:
    text = _ROLE.sub(lambda role: _link(obj, role[1], role[2], ends), obj.docstring.value)
    text = re.sub(r'(?m)^( *)Example:$', r'\1Examples:', text)
    before, examples, after = text.partition('Examples:\n')
    # Those under a heading are found by the parser; others need a fence.
    before = _DOCTEST.sub(lambda test: _fenced(test[0], test[1]), before)
    return re.sub(r'(?m)::$', ':', before) + examples + after


def _fenced(block: str, indent: str) -> str:
    return f'{indent}```pycon\n{block.rstrip()}\n{indent}```\n'


def _link(obj: Object, short: str, target: str, ends: dict[str, list[Object]]) -> str:
    label = target.rpartition('.')[2] if short else target
    found = _find(obj, target, ends)
    if found is None:
        _LOG.warning('%s: nothing is named %r', obj.path, target)
        return f'`{label}`'
    return _reference(found, label)


def _reference(obj: Object, label: str) -> str:
    """A link, where the object is part of the reference."""
    shown = obj.docstring is not None or obj.is_module
    if not shown or any(re.match('_[^_]', part) for part in obj.path.split('.')):
        return f'`{label}`'
    return f'[`{label}`][{obj.path}]'


def _find(obj: Object, target: str, ends: dict[str, list[Object]]) -> Object | None:
    """What a name means here: of the class, of the module, of a package above, or its one owner."""
    package = obj.package
    scope: Object | None = obj
    while scope is not None:
        found = _get(scope, target)
        if found is not None:
            return found
        scope = scope.parent
    found = _get(package, target.removeprefix(f'{package.path}.'))
    if found is not None:
        return found
    owners = ends.get(target, [])
    return owners[0] if len(owners) == 1 else None


def _get(scope: Object, target: str) -> Object | None:
    try:
        return _definition(scope[target])
    except (KeyError, GriffeError):
        return None


def _definition(obj: Object | Alias) -> Object:
    return obj.final_target if isinstance(obj, Alias) else obj
