"""Command lines: lists, and messages in the words of the command. Standard library only."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def command_line() -> str:
    """The running command, as it is typed: ``sola train ...`` or ``python tools/train.py ...``."""
    name, *words = sys.argv
    program = name.split() if name.startswith('sola ') else ['python', name]
    return shlex.join([*program, *words])


class ListAction(argparse.Action):
    """Option that takes a list with commas, with spaces, or both: ``--seeds 0,1 2``.

    Not for what may hold commas itself: labels, titles, ids, files.

    Args:
        type: Makes an item of its text.
        choices: What items can be.
        **options: Of ``argparse.Action``.
    """

    def __init__(
        self,
        *,
        type: Callable[[str], Any] = str,
        choices: Sequence[Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nargs='+', **options)
        # argparse would apply them to texts that are not split yet.
        self._make, self._choices = type, choices

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Split, make the items, and store them."""
        setattr(namespace, self.dest, [self._item(word) for word in split_list(values)])

    def _item(self, word: str) -> Any:
        try:
            item = self._make(word)
        except ValueError:
            name = getattr(self._make, '__name__', 'list')
            raise argparse.ArgumentError(self, f'invalid {name} value: {word!r}') from None
        if self._choices is not None and item not in self._choices:
            known = ', '.join(map(str, self._choices))
            raise argparse.ArgumentError(self, f'invalid choice: {item!r} (choose from {known})')
        return item


class TextListAction(ListAction):
    """The same for what reads its list from one text: ``--tiou 0.5 0.75`` is ``'0.5,0.75'``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Split, and store the items with commas."""
        super().__call__(parser, namespace, values, option_string)
        setattr(namespace, self.dest, ','.join(getattr(namespace, self.dest)))


def split_list(texts: Sequence[str]) -> list[str]:
    """Split texts at commas.

    >>> split_list(['a, b', 'c'])
    ['a', 'b', 'c']
    """
    return [word.strip() for text in texts for word in text.split(',') if word.strip()]


def crop_choice(text: str) -> str | int:
    """What to take of several crops: ``mean``, or a number.

    >>> crop_choice('mean'), crop_choice('3')
    ('mean', 3)
    """
    return int(text) if text.isdecimal() else text


class RenamesAction(argparse.Action):
    """Option that takes pairs, ``OLD=NEW``, or none: a dict of them."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Split the pairs and store them."""
        pairs = [word.partition('=') for word in values]
        if not all(equals and new for _, equals, new in pairs):
            raise argparse.ArgumentError(self, f'expected OLD=NEW, got {" ".join(values)!r}')
        setattr(namespace, self.dest, {old: new for old, _, new in pairs})


def add_checkpoint_classes(parser: argparse.ArgumentParser) -> None:
    """Add ``--checkpoint-classes [OLD=NEW ...]``.

    Args:
        parser: Changed in place.
    """
    parser.add_argument(
        '--checkpoint-classes',
        nargs='*',
        action=RenamesAction,
        metavar='OLD=NEW',
        help="take the checkpoint's classes instead of the config's, those that are named under "
        'new names',
    )


#: What messages about features name → the option of :func:`add_feature_options`.
FEATURE_OPTIONS = dict(
    suffix='--suffix',
    key='--key',
    layout='--layout',
    crops='--crops',
    crop_axis='--crop-axis',
    feat_dim='--feat-dim',
)


def add_feature_options(add: Callable[..., Any]) -> None:
    """Add the options that say how feature files are read.

    Args:
        add: ``add_argument`` of a parser or a group.
    """
    add('--suffix', help="end of the files' names, such as _rgb.npy")
    add('--key', help='name of the array in files with several')
    add('--layout', choices=('TC', 'CT'), help='order of the axes, where it is not clear')
    add(
        '--crops',
        type=crop_choice,
        metavar='WHICH',
        help="of files with several crops of each frame: 'mean', or the number of one from 0",
    )
    add('--crop-axis', type=int, default=1, help='axis of the crops in the files (1)')
    add('--feat-dim', type=int, metavar='C', help='number of channels that is expected')


def in_options(message: object, options: Mapping[str, str]) -> str:
    """Let a message that names arguments of the package name the options of a command.

    An argument is ``name=value``, or a name that is no word (``feature_stride``).

    Args:
        message: The message, or the error that has it.
        options: Argument → option.

    Returns:
        The message.

    >>> in_options("say layout='TC' or layout='CT', or key=...", dict(layout='--layout'))
    'say --layout TC or --layout CT, or key=...'
    """
    if not options:
        return str(message)
    names = '|'.join(options)
    given = re.sub(
        rf"\b({names})=(?:'([^']*)'|(\.\.\.|[\w.]*\w)?)",
        lambda found: f'{options[found[1]]} {found[2] or found[3] or ""}'.rstrip(),
        str(message),
    )
    bare = '|'.join(name for name in options if '_' in name)
    return re.sub(rf'\b({bare})\b', lambda found: options[found[1]], given) if bare else given
