"""Frozen features of many videos: divided among ranks, and resumed when the job was stopped."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, barrier, broadcast_object_list

from sola_plugin.datasets.video import VIDEO_SUFFIXES, VideoError
from sola_plugin.file_names import FileNameError
from sola_plugin.locking import hold_lock
from sola_plugin.messages import first_few
from sola_plugin.pretraining.ranks import divide_among_ranks
from sola_plugin.progress import Show

from .encoding import Encoder, SnippetSampling, encode_video
from .folder import ExtractionFolder, ExtractionResult


def find_videos(source: str | os.PathLike) -> dict[str, Path]:
    """Find videos and give them their ids: the file names without the ending, whole.

    Args:
        source: A folder, searched with its subfolders; a video; or a ``.txt`` file with one path a
            line.

    Returns:
        Paths by id.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: There are no videos, or two for one id.
    """
    videos: dict[str, Path] = {}
    for path in sorted(_listed(Path(source))):
        if path.stem in videos:
            raise ValueError(
                f'expected one video for the id {path.stem!r}, got {videos[path.stem]} and '
                f'{path}: ids are file names without the ending; rename one'
            )
        videos[path.stem] = path
    if not videos:
        raise ValueError(f'{source}: expected videos ({" ".join(VIDEO_SUFFIXES)}), got none')
    return videos


def passed_over(source: str | os.PathLike) -> str:
    """Say which files of a folder are no videos, for a note.

    Args:
        source: See :func:`find_videos`.

    Returns:
        A sentence; empty where there are none, or no videos.
    """
    root = Path(source)
    files = _files(root) if root.is_dir() else []
    others = [path for path in files if path.suffix.lower() not in VIDEO_SUFFIXES]
    if len(others) in (0, len(files)):
        return ''
    names = sorted(str(path.relative_to(root)) for path in others)
    return (
        f'{source}: {len(names)} files are passed over, as their names do not end as those of '
        f'videos do: {first_few(map(repr, names))}'
    )


def extract_features(
    videos: Mapping[str, Path],
    out: str | os.PathLike,
    encoder: Encoder,
    sampling: SnippetSampling,
    settings: Mapping[str, Any] | None = None,
    dtype: str = 'float32',
    report: Show | None = None,
    **options: Any,
) -> ExtractionResult:
    """Encode videos into ``out/<id>.npy``, ``(T, C)``, and describe them in ``out/features.json``.

    Under ``torchrun`` each rank takes its share. Each video is written when it is finished, so that
    a job that was stopped goes on where it was. Videos that cannot be used are skipped.

    Args:
        videos: Paths by id.
        out: Folder of the features.
        encoder: See :data:`~sola_plugin.commands.extraction.encoding.Encoder`.
        sampling: Which frames make a snippet.
        settings: What else the features depend on, plain values for ``features.json``. A job is
            resumed with the same settings only.
        dtype: ``'float32'`` or ``'float16'``.
        report: Told of the progress.
        **options: ``batch_size``, ``amp``, ``prepare``, ``allow_short`` of
            :func:`~sola_plugin.commands.extraction.encoding.encode_video`.

    Returns:
        What is in the folder, and what was skipped; the same on all ranks.

    Raises:
        BusyError: Another process writes there.
        ValueError: The folder holds features of other settings.
    """
    rank, world_size = divide_among_ranks()
    folder = ExtractionFolder(
        Path(out),
        dict(
            settings or {},
            snippet_length=sampling.length,
            snippet_stride=sampling.stride,
            fps=sampling.fps,
            dtype=dtype,
            amp=options.get('amp', False),
        ),
    )
    with hold_lock(folder.root) if rank == 0 else contextlib.nullcontext():
        barrier()
        if rank == 0:
            folder.begin()
        # The largest files first, in turn: the ranks end at about the same time. Files may grow
        # while they are looked at, so that one rank decides for all.
        ordered = [sorted(videos.items(), key=lambda video: _size(video[1]), reverse=True)]
        broadcast_object_list(ordered)
        failed = _extract_share(
            ordered[0][rank::world_size],
            folder,
            encoder,
            sampling,
            report or (lambda *_: None),
            options,
        )
        for others in all_gather_object(failed):
            failed.update(others)
        result = folder.result(dict(sorted(failed.items())))
        if rank == 0:
            folder.describe(result)
        barrier()
    return result


def _extract_share(
    videos: Sequence[tuple[str, Path]],
    folder: ExtractionFolder,
    encoder: Encoder,
    sampling: SnippetSampling,
    report: Show,
    options: dict,
) -> dict[str, str]:
    """Encode the videos of one rank; what went wrong, by id."""
    failed = {}
    for done, (video_id, path) in enumerate(videos):
        progress = functools.partial(_report_second, report, video_id, done, len(videos))
        try:
            if not folder.has(video_id, path):
                features = encode_video(path, encoder, sampling, progress=progress, **options)
                folder.save(video_id, path, features)
        except (VideoError, FileNameError) as error:
            failed[video_id] = str(error)
        report(video_id, done + 1, len(videos))
    return failed


def _report_second(report: Show, video_id: str, done: int, total: int, second: float) -> None:
    report(f'{video_id}, {second:.0f} s', done, total)


def _files(folder: Path) -> list[Path]:
    """All files of a folder and its subfolders but for hidden ones."""
    return [
        path
        for path in folder.rglob('*')
        if (path.is_file() or path.is_symlink())  # a broken link is a video that is missing
        and not path.name.startswith('.')
    ]


def _listed(source: Path) -> Iterable[Path]:
    if source.is_dir():
        return [path for path in _files(source) if path.suffix.lower() in VIDEO_SUFFIXES]
    if not source.exists():
        raise FileNotFoundError(
            f'{source}: expected a folder of videos, a video or a .txt list, got nothing'
        )
    if source.suffix == '.txt':
        lines = source.read_text(encoding='utf-8').splitlines()
        return [Path(line.strip()) for line in lines if line.strip()]
    return [source]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
