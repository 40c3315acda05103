"""Ids of videos as names of files; standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


class FileNameError(ValueError):
    """No file can have the name of a video."""


def file_name(video_id: str) -> str:
    """An id as the name of a file in one folder: in archives and annotations ids may be paths."""
    return video_id.replace('/', '_').replace('\\', '_')


def check_file_names(folder: str | os.PathLike, video_id: str, suffixes: Iterable[str]) -> None:
    """Ask the disk whether a video's files can have its name, before there is work to lose.

    How long a name may be, and of what, the file system alone knows.

    Args:
        folder: Where the files are to be; it is made, for the disk to be asked.
        video_id: The id, whose :func:`file_name` is meant.
        suffixes: Ends of the names.

    Raises:
        FileNameError: The disk takes no such name; the message says why.
        OSError: There can be no such folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes:
        try:
            (folder / (file_name(video_id) + suffix)).lstat()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise FileNameError(
                f'{video_id!r}: no file in {folder} can have this name with {suffix} behind it '
                f'({reason}): give the video a shorter or plainer id'
            ) from error
