"""Video files as snippets: decoded frames, put on an even time grid, in windows.

Frames are read with OpenCV, which mmaction2 brings, from start to end and one at a time. Memory
does not grow with the length of a video, and what counts are the frames that were really decoded,
at their times.
"""

from __future__ import annotations

import collections
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

# FFmpeg would fill the screen with its own messages on a damaged file; VideoError says what is
# wrong.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

#: Endings of files that are taken for videos, in lower case.
VIDEO_SUFFIXES = (
    '.mp4',
    '.mkv',
    '.avi',
    '.webm',
    '.mov',
    '.m4v',
    '.mpg',
    '.mpeg',
    '.ts',
    '.wmv',
    '.flv',
    '.3gp',
    '.ogv',
    '.mts',
    '.m2ts',
    '.vob',
    '.mxf',
)
#: A header with more frames per second than this is not believed.
_MAX_FPS = 500.0
#: A video that ends this much before the end its header gives is taken for truncated: seconds,
#: share.
_MISSING_SECONDS, _MISSING_SHARE = 1.0, 0.05

Frame = TypeVar('Frame')


class VideoError(ValueError):
    """A video cannot be used; the message names the file, what is wrong, and what to do."""


@dataclass(frozen=True)
class SnippetSampling:
    """Which frames make a snippet.

    Snippet ``i`` is frames ``i * stride .. i * stride + length - 1``.

    Attributes:
        length: Frames in a snippet.
        stride: Frames from one snippet to the next.
        fps: Frames per second that a video is resampled to first; ``None`` keeps its own rate.

    Raises:
        ValueError: A number is not above 0.
    """

    length: int
    stride: int
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.length < 1 or self.stride < 1:
            raise ValueError(
                f'length is {self.length} and stride is {self.stride} frames, expected at '
                'least 1 each'
            )
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f'fps is {self.fps}, expected frames per second above 0')

    def time_axis(self, fps: float) -> tuple[float, float]:
        """``feature_stride`` and ``feature_offset`` of ``TALFeatureDataset``, in seconds.

        A snippet is ``length`` frames long, a cell of the features ``stride`` frames. The offset
        puts the centre of each cell on the centre of its snippet, ``(i * stride + length / 2) /
        fps``.

        Example:
            >>> SnippetSampling(16, 8).time_axis(32)
            (0.25, 0.125)
        """
        return self.stride / fps, (self.length - self.stride) / (2 * fps)


class Video:
    """A video file, decoded once from start to end.

    Time 0 is the first frame. Each frame has the time that the file gives it, so that a variable
    frame rate is no special case.

    Args:
        path: The file.
        allow_short: Take a video that ends long before the end that its header gives.

    Attributes:
        fps: Frames per second by the header (the mean, where the rate varies); ``None`` where it
            says nothing that can be true.
        duration: Seconds, of the frames that were really decoded; 0 before :meth:`frames` has
            ended.

    Raises:
        VideoError: The file is missing, or OpenCV cannot open it.
    """

    def __init__(self, path: str | os.PathLike, allow_short: bool = False) -> None:
        self.path = Path(path)
        self.allow_short = allow_short
        self.duration = 0.0
        self._capture = _open(self.path)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _MAX_FPS else None
        self._num_frames = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Decode the video.

        Yields:
            ``(end, frame)``: the time until which the frame is shown, seconds, ascending; the
            frame, uint8 RGB ``(H, W, 3)``.

        Raises:
            VideoError: Nothing can be decoded, the size of the frames changes, or the video ends
                more than 1 s and 5 % before the end that its header gives.
        """
        step = 1 / self.fps if self.fps else 0.0
        shown, first, start = None, 0.0, 0.0
        for stamp, frame in self._decode():
            if shown is None:
                first = stamp
            else:
                self._check_size(frame, shown)
                # Some files have no times, or times that stand still.
                end = stamp - first if stamp - first > start else start + step
                yield end, shown
                step = step if self.fps else end - start
                start = end
            shown = frame
        if shown is None:
            raise VideoError(
                f'{self.path}: no frame can be decoded: the file is damaged, or this OpenCV '
                'lacks its codec; encode it again, for example as H.264'
            )
        self.duration = start + step
        self._check_end()
        yield self.duration, shown

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _decode(self) -> Iterator[tuple[float, np.ndarray]]:
        while True:
            decoded, image = self._capture.read()
            if not decoded:
                return
            stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield stamp, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _check_size(self, frame: np.ndarray, before: np.ndarray) -> None:
        if frame.shape != before.shape:
            raise VideoError(
                f'{self.path}: the size of the frames changes from {before.shape[:2]} to '
                f'{frame.shape[:2]}: encode the video again'
            )

    def _check_end(self) -> None:
        if self.allow_short or self.fps is None:
            return
        expected = self._num_frames / self.fps
        if expected - self.duration > max(_MISSING_SECONDS, _MISSING_SHARE * expected):
            raise VideoError(
                f'{self.path}: decoding ends after {self.duration:.1f} s of the '
                f'{expected:.1f} s that the '
                'header gives: the file is truncated or damaged, get it again; if only the '
                'header is wrong, '
                'set allow_short'
            )


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise VideoError(f'{path}: expected a video file, got none')
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    capture = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
    logging.setLogLevel(level)
    if not capture.isOpened():
        size = path.stat().st_size
        raise VideoError(
            f'{path}: expected a video, got {size} bytes that OpenCV cannot open: the file is '
            'empty, truncated or no video; get it again'
        )
    return capture


def resample(
    frames: Iterable[tuple[float, Frame]], fps: float, slack: float = 0.0
) -> Iterator[Frame]:
    """Put frames on an even time grid: cell ``k`` takes the frame that is shown at its centre.

    Args:
        frames: ``(end, frame)``: the time until which each frame is shown, seconds, ascending.
        fps: Cells per second; cell ``k`` is ``[k / fps, (k + 1) / fps)``.
        slack: Of two frames whose border is at most this far from a centre, seconds, the later one
            is taken, so that rounded times do not decide.

    Yields:
        The frame of each cell whose centre lies before the end; frames are repeated or left out.

    Example:
        >>> list(resample([(0.1, 'a'), (0.2, 'b'), (0.3, 'c'), (0.9, 'd')], fps=5))
        ['b', 'd', 'd', 'd']
    """
    cell = 0
    for end, frame in frames:
        while (cell + 0.5) / fps + slack < end:
            yield frame
            cell += 1


def windows(frames: Iterable[Frame], length: int, stride: int) -> Iterator[list[Frame]]:
    """Windows of ``length`` frames, one every ``stride`` frames; the rest at the end is dropped.

    Example:
        >>> list(windows('abcdefg', length=4, stride=2))
        [['a', 'b', 'c', 'd'], ['c', 'd', 'e', 'f']]
    """
    window: collections.deque[Frame] = collections.deque(maxlen=length)
    for index, frame in enumerate(frames):
        window.append(frame)
        first = index - length + 1
        if first >= 0 and first % stride == 0:
            yield list(window)


def frame_rate(video: Video, sampling: SnippetSampling) -> float:
    """Frames per second of the grid that the snippets of a video are cut from.

    Raises:
        VideoError: The sampling keeps the video's own rate, and the video has none.
    """
    fps = sampling.fps or video.fps
    if fps is None:
        raise VideoError(
            f'{video.path}: the header gives no frame rate that can be true: resample the video '
            'to a rate of your choice (fps)'
        )
    return fps


def read_snippets(
    video: Video,
    sampling: SnippetSampling,
    prepare: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Iterator[np.ndarray]:
    """Snippets of a video; only the frames of one snippet are held.

    Args:
        video: The video; it is decoded by this.
        sampling: Which frames make a snippet.
        prepare: Applied to each frame once, uint8 ``(H, W, 3)`` to ``(H', W', 3)``; ``None`` keeps
            them.

    Yields:
        uint8 RGB ``(length, H', W', 3)``.

    Raises:
        VideoError: See :class:`Video` and :func:`frame_rate`.
    """
    fps = frame_rate(video, sampling)
    frames: Iterable[np.ndarray] = resample(
        video.frames(), fps, slack=0.1 / max(fps, video.fps or fps)
    )
    if prepare is not None:
        frames = map(prepare, frames)
    for window in windows(frames, sampling.length, sampling.stride):
        yield np.stack(window)
