"""Labels of frames, as Breakfast, 50 Salads and GTEA have them: one text file a video."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from sola_plugin.messages import first_few

from .class_names import read_class_names
from .records import AnnotationError, AnnotationFile, Options, Video, read_text

#: Labels of frames without an action in Breakfast, in GTEA and in 50 Salads (before the first
#: action and behind the last).
BACKGROUND = ('SIL', 'background', 'action_start', 'action_end')

#: ``1-30 SIL``: the first frame is 1, and the last belongs to the stretch.
STRETCH = re.compile(r'(\d+)-(\d+)\s+(\S.*)')

#: The folder of the files in 50 Salads, GTEA, and Breakfast as others publish it.
FOLDER = 'groundTruth'
_MAPPING = 'mapping.txt'
#: Part by which the number of frames and the duration may differ.
_TOLERANCE = 0.05

#: First frame from 0, the frame behind the last one, and their label.
Stretch = tuple[int, int, str]


def read(paths: Sequence[Path], options: Options) -> AnnotationFile:
    """Read ``groundTruth/VIDEO.txt``, of any number of videos, and Breakfast's coarse form.

    A file has the label of each frame in its line. Frames in a row with the same label are a
    segment, from the first of them to the beginning of the frame behind the last. In the coarse
    form a line is a segment, ``31-150 take_cup``: numbers count from 1, both frames belong to it.

    Args:
        paths: Files, or folders of them; of a folder that holds ``groundTruth``, this is read.
        options: ``fps`` is needed. ``background`` are the labels that are no action, by default
            :data:`BACKGROUND`. ``labels`` is a file of all classes, such as ``mapping.txt``; it
            names those that are given by their number. ``durations`` are compared.

    Returns:
        The videos, called as their files.

    Raises:
        AnnotationError: There is no such file, two are of one video, a frame rate is not known, or
            there is no such background.
        FileNotFoundError: There is no such file.
    """
    files, notes = _text_files(paths)
    names = read_class_names(Path(options.labels)) if options.labels is not None else None
    background = BACKGROUND if options.background is None else tuple(options.background)
    rates = {video_id: options.fps(video_id) if options.fps else None for video_id in files}
    unknown = [video_id for video_id, fps in rates.items() if fps is None]
    if unknown:
        raise AnnotationError(
            f'{first_few(paths)}: labels of frames need the frame rate, which is not known for '
            f'{len(unknown)} of {len(files)} videos: {first_few(map(repr, unknown))}. Convert them '
            'with tools/convert_annotations.py --fps F (Breakfast and GTEA 15, 50 Salads 30), or a '
            'column fps in the file of --durations'
        )
    left_out: collections.Counter[str] = collections.Counter()
    videos, faults = {}, []
    for video_id, path in files.items():
        try:
            stretches, coarse = _stretches(path, names, path in paths)
            videos[video_id] = _video(
                path.name,
                stretches,
                coarse,
                background,
                rates[video_id] or 0,
                options.durations(video_id) if options.durations else None,
            )
            left_out.update(label for _, _, label in stretches if label in background)
        except AnnotationError as error:
            faults.append(str(error))
    if videos:
        _check_background(options.background or (), left_out, first_few(paths))
    notes += [
        f'{count} stretches labelled {label!r} are no action (--background names such labels)'
        for label, count in left_out.items()
    ]
    return AnnotationFile(videos, tuple(faults), notes=tuple(notes), form='frame_labels')


def looks_like(text: str) -> bool:
    """Whether a text can be nothing else: stretches, or labels of which many are repeated."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and STRETCH.fullmatch(lines[0]):
        return True
    # The last line may be cut: only the beginning of the file is looked at.
    return _repeats(lines[:-1]) and not any(re.search(r'[\s,;{}\[\]<>]', one) for one in lines)


def _repeats(lines: Sequence[str]) -> bool:
    """Whether many lines are as the one before: frames of the same action follow each other."""
    same = sum(one == two for one, two in itertools.pairwise(lines))
    return 3 * same >= len(lines) > 1


def _text_files(paths: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    files: dict[str, Path] = {}
    notes = []
    for path in paths:
        root = path / FOLDER if (path / FOLDER).is_dir() else path
        for file in sorted(root.rglob('*.txt')) if path.is_dir() else [path]:
            if path.is_dir() and file.name == _MAPPING:
                notes.append(f'{file} is not read: --labels reads such a table of classes')
                continue
            video_id = Path(file.name.removesuffix('.gz')).stem
            if video_id in files:
                raise AnnotationError(
                    f'{files[video_id]} and {file}: expected one file a video, got two of '
                    f'{video_id!r}'
                )
            files[video_id] = file
    if not files:
        raise AnnotationError(f'{first_few(paths)}: expected text files of frame labels, got none')
    return files, notes


def _stretches(
    path: Path, names: Mapping[str, str] | None, is_named: bool
) -> tuple[list[Stretch], bool]:
    """The stretches of a file, and whether it has the coarse form.

    A file of a folder, which nobody has named, may be anything.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise AnnotationError(f'{path.name}: the file is empty: expected a label a line')
    if '' in lines:
        raise AnnotationError(
            f'{path.name} line {lines.index("") + 1}: expected a label, got nothing'
        )
    coarse = any(map(STRETCH.fullmatch, lines))
    if not (coarse or is_named or _repeats(lines)):
        raise AnnotationError(
            f'{path.name}: expected labels of frames, of which many are as the one before, got '
            f'{lines[0][:80]!r}, ...: take it out of the folder, or name the files to read'
        )
    found = _coarse(path.name, lines) if coarse else _dense(lines)
    return [
        (start, end, _named(label, names, f'{path.name} line {line}'))
        for line, (start, end, label) in found
    ], coarse


def _dense(lines: Sequence[str]) -> Iterator[tuple[int, Stretch]]:
    start = 0
    for label, frames in itertools.groupby(lines):
        end = start + len(list(frames))
        yield start + 1, (start, end, label)
        start = end


def _coarse(name: str, lines: Sequence[str]) -> Iterator[tuple[int, Stretch]]:
    before = 0
    for number, line in enumerate(lines, 1):
        where = f'{name} line {number}'
        found = STRETCH.fullmatch(line)
        if found is None:
            raise AnnotationError(f'{where}: expected "START-END label" in frames, got {line!r}')
        start, end = int(found[1]), int(found[2])
        if start < 1 or end < start:
            raise AnnotationError(
                f'{where}: expected frames from 1 on, START not behind END, got {line!r}'
            )
        if start <= before:
            raise AnnotationError(
                f'{where}: expected a start behind frame {before} of the line before, got {line!r}'
            )
        before = end
        yield number, (start - 1, end, found[3].strip())


def _named(label: str, names: Mapping[str, str] | None, where: str) -> str:
    if names is None or label in names.values():
        return label
    if label not in names:
        raise AnnotationError(f'{where}: {label!r} is not among the {len(names)} named classes')
    return names[label]


def _video(
    name: str,
    stretches: Sequence[Stretch],
    coarse: bool,
    background: Collection[str],
    fps: float,
    duration: float | None,
) -> Video:
    num_frames = stretches[-1][1]
    seconds = num_frames / fps
    if duration is not None:
        # Coarse stretches need not reach the end.
        short = seconds < duration * (1 - _TOLERANCE) and not coarse
        if short or seconds > duration * (1 + _TOLERANCE):
            raise AnnotationError(
                f'{name}: {num_frames} frames at {fps:g} fps are {seconds:g} s, the duration is '
                f'{duration:g} s: is the frame rate right?'
            )
    actions = [
        dict(segment=[start / fps, end / fps], label=label)
        for start, end, label in stretches
        if label not in background
    ]
    known = None if coarse and duration is not None else num_frames
    return Video(duration or seconds, None, tuple(actions), None, fps, known)


def _check_background(asked: Collection[str], found: Collection[str], source: str) -> None:
    missing = [label for label in asked if label not in found]
    if missing:
        raise AnnotationError(
            f'{source}: there is no label {missing[0]!r}, which is to be background'
        )
