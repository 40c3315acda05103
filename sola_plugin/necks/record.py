"""The record of a neck: its arguments as plain values, which a file may hold."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

#: Dicts and lists in a record are nested no deeper.
_MAX_DEPTH = 8


def constructor_arguments(cls: type) -> dict[str, inspect.Parameter]:
    """Arguments of a class by name; of its base class too if it hands ``**kwargs`` on."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        _, *parameters = inspect.signature(vars(base)['__init__']).parameters.values()
        hands_on = [each for each in parameters if each.kind is each.VAR_KEYWORD]
        found = {each.name: each for each in parameters if each not in hands_on} | found
        if not hands_on:
            break
    return found


def recorded_arguments(cls: type) -> dict[str, Any]:
    """Arguments that the record of a neck holds, and their defaults (``None`` without one)."""
    return {
        name: None
        if parameter.default is parameter.empty
        else plain_value(parameter.default, f'{cls.__name__}: default of {name}')
        for name, parameter in constructor_arguments(cls).items()
        if name not in cls.not_recorded  # type: ignore[attr-defined]
    }


def bound_arguments(cls: type, args: tuple, kwargs: dict) -> dict[str, Any]:
    """Name the arguments of a call of a class.

    Raises:
        TypeError: The class does not take them.
    """
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    given = dict(signature.bind_partial(None, *args, **kwargs).arguments)
    given.pop(next(iter(signature.parameters)), None)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            given |= given.pop(parameter.name, {})
    return given


def plain_record(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A record as builtin types.

    Args:
        record: What a file holds.
        where: The file, for messages.

    Raises:
        ValueError: It holds what is no plain value, or a config of something that would be
            imported.
    """
    plain = {str(key): plain_value(value, f'{where}: {key}') for key, value in record.items()}
    for key, value in plain.items():
        if key != 'type':
            _refuse_imports(value, f'{where}: {key}')
    return plain


def plain_value(value: Any, what: str, _depth: int = 0) -> Any:
    """Return numbers, text, ``None``, and tuples and dicts of them, as builtin types.

    Args:
        value: The value; lists become tuples.
        what: Its name, for the message.

    Raises:
        ValueError: It is, or holds, something else.
    """
    if _depth > _MAX_DEPTH:
        raise ValueError(f'{what}: expected at most {_MAX_DEPTH} levels of lists and dicts')
    if isinstance(value, Mapping):
        return {
            str(key): plain_value(part, f'{what}[{key!r}]', _depth + 1)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return tuple(plain_value(part, what, _depth + 1) for part in value)
    for kind in (bool, int, float, str):  # of bool and int, bool first: it is an int
        if isinstance(value, kind):
            return kind(value)
    if value is not None:
        raise ValueError(
            f'{what}: expected numbers, text, None, or lists and dicts of them, got a '
            f'{type(value).__name__}'
        )
    return None


def _refuse_imports(value: Any, what: str) -> None:
    """Refuse a config inside of a record that a registry would import by its dotted name."""
    if isinstance(value, dict):
        name = value.get('type')
        if isinstance(name, str) and '.' in name:
            raise ValueError(f'{what}: expected the type of a registered class, got {name!r:.80}')
        value = tuple(value.values())
    if isinstance(value, tuple):
        for part in value:
            _refuse_imports(part, what)
