"""Outputs of a localizer that are not finite: of them would come no detections, and no word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class OutputError(ValueError):
    """A localizer gives NaN or infinity; the message names the video.

    Args:
        index: Of the video in its batch.
        message: What is said.
    """

    def __init__(self, index: int, message: str = '') -> None:
        super().__init__(index, message)
        self.index = index
        self.message = message

    def __str__(self) -> str:
        return self.message or f'the outputs for video {self.index} of the batch are not finite'


def check_outputs(finite: Iterable[bool]) -> None:
    """Refuse the outputs of a batch of which some are not finite.

    Args:
        finite: Whether those of each video are.

    Raises:
        OutputError: Those of a video are not.
    """
    for index, good in enumerate(finite):
        if not good:
            raise OutputError(index)


@contextlib.contextmanager
def naming_video(model: str, data_samples: Sequence[Any]) -> Iterator[None]:
    """Let an :class:`OutputError` name the localizer and the video.

    Args:
        model: Name of the localizer.
        data_samples: Of the videos of the batch.
    """
    try:
        yield
    except OutputError as error:
        sample = data_samples[error.index] if error.index < len(data_samples) else None
        name = getattr(sample, 'metainfo', {}).get('video_name', error.index)
        raise OutputError(
            error.index,
            f'{model} gives NaN or infinite outputs for {name!r}: its features may be far larger '
            'than those of its training (tools/check_dataset.py tells), or it overflows in half '
            'precision',
        ) from error
