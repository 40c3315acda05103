"""Small video files for tests, made with OpenCV, and faults put into them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

SIZE = (48, 64)


def write_video(path: Path, levels: Sequence[float], fps: float = 30) -> Path:
    """Write a video whose frame ``i`` has the brightness ``levels[i]`` (0 to 255), on a fixed
    pattern.

    The pattern is brighter to the right, and blue at the top, so that flips and swapped channels
    show.
    """
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    codec = cv2.VideoWriter_fourcc(*('MJPG' if path.suffix == '.avi' else 'mp4v'))
    writer = cv2.VideoWriter(str(path), codec, fps, SIZE[::-1])
    assert writer.isOpened()
    for level in levels:
        gray = np.clip(level * (0.5 + columns / SIZE[1]), 0, 255)
        blue = np.where(rows < SIZE[0] // 2, 200, gray)
        writer.write(np.stack([blue, gray, gray], axis=2).astype(np.uint8))  # OpenCV's order is BGR
    writer.release()
    return path


def set_frame_times(path: Path, runs: Sequence[tuple[int, float]]) -> None:
    """Give the frames of an mp4 a variable rate: ``(number of frames, seconds each)``, one after
    the other.

    Rewrites the table of frame durations (``stts``) and hides the edit list, which holds the old
    length.
    """
    content = bytearray(path.read_bytes().replace(b'edts', b'free'))
    header = _boxes(content, 'moov', 'trak', 'mdia', 'mdhd')[-1]
    (timescale,) = struct.unpack_from('>I', content, header + 20)
    *parents, table = _boxes(content, 'moov', 'trak', 'mdia', 'minf', 'stbl', 'stts')
    (old_size,) = struct.unpack_from('>I', content, table)
    entries = b''.join(
        struct.pack('>II', count, round(seconds * timescale)) for count, seconds in runs
    )
    new = struct.pack('>I4sII', 16 + len(entries), b'stts', 0, len(runs)) + entries
    for parent in parents:
        (size,) = struct.unpack_from('>I', content, parent)
        struct.pack_into('>I', content, parent, size + len(new) - old_size)
    content[table : table + old_size] = new
    path.write_bytes(content)


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file, as a broken download does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def _boxes(content: bytes, *names: str) -> list[int]:
    """Where the nested boxes of an mp4 start."""
    found, start = [], 0
    for name in names:
        size, kind = struct.unpack_from('>I4s', content, start)
        while kind != name.encode():
            start += size
            size, kind = struct.unpack_from('>I4s', content, start)
        found.append(start)
        start += 8
    return found
