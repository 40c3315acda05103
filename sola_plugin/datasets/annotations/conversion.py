"""Converting annotations from one format to another. Standard library only."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from sola_plugin.datasets.annotations.formats import epic_kitchens
from sola_plugin.datasets.annotations.formats.csv_tables import read_durations
from sola_plugin.datasets.annotations.formats.records import NoDurationError
from sola_plugin.messages import first_few

from .checks import check_annotations
from .formats import (
    FORMATS,
    AnnotationError,
    AnnotationFile,
    Options,
    Video,
    read_annotations,
    write_annotations,
)
from .model import choose_subset, systematic_faults


@dataclasses.dataclass(frozen=True)
class Changes:
    """What is changed on the way, in this order.

    Attributes:
        subsets: Videos of these subsets are kept; ``None``: all.
        rename_subsets: Old and new names of subsets; ``''`` is the old name of no subset.
        drop_labels: Actions with these labels are left out.
        fps: Frames per second of videos that have no rate of their own.
        in_frames: Times are frame numbers: they are divided by the rate of the video.
    """

    subsets: Collection[str] | None = None
    rename_subsets: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drop_labels: Collection[str] = ()
    fps: float | None = None
    in_frames: bool = False


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What was done.

    Attributes:
        form: Name of the format that was read.
        videos: What was written.
        notes: What was not kept.
        warnings: See :func:`check`.
    """

    form: str
    videos: dict[str, Video]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def convert_annotations(
    inputs: Sequence[Path],
    out: Path,
    to: str,
    source: str | None = None,
    durations: Path | None = None,
    labels: str | None = None,
    changes: Changes | None = None,
    force: bool = False,
    reading: Options | None = None,
) -> Conversion:
    """Read annotations, change and check them, and write them in another format.

    Segments are written as they were read, also those that :func:`~.model.check_segments`
    would cut or leave out.

    Args:
        inputs: Files of one data set; a folder for THUMOS14.
        out: File, or folder for THUMOS14 and EPIC-Kitchens.
        to: Name of the format to write, of ``FORMATS``.
        source: Name of the format to read; ``None``: the contents tell.
        durations: Table of durations, see
            :func:`~sola_plugin.datasets.annotations.formats.csv_tables.read_durations`.
        labels: Which labels of EPIC-Kitchens; a file of class names for Charades and frame labels.
        changes: What to change.
        force: Write over a file ``out``. Folders are never written over.
        reading: What else some formats need to know: ``background``, ``tiers``, ``annotator``.

    Returns:
        What was done.

    Raises:
        AnnotationError: The annotations cannot be used, or the format cannot hold them.
        FileExistsError: ``out`` is there.
        FileNotFoundError: An input is missing.
        OSError: Reading or writing failed.
    """
    if out.exists() and (out.is_dir() or not force):
        advice = 'choose a new folder' if out.is_dir() else 'choose another name, or --force'
        raise FileExistsError(f'{out} is there: {advice}')
    changes = changes or Changes()
    table = read_durations(durations) if durations else {}
    rates = {video_id: known['fps'] for video_id, known in table.items() if 'fps' in known}
    options = dataclasses.replace(
        reading or Options(),
        labels=labels,
        durations=(lambda video_id: table.get(video_id, {}).get('duration')) if durations else None,
        fps=lambda video_id: rates.get(video_id, changes.fps),
    )
    content = _read(inputs, source, options, durations, table)
    _check_uses(content.form.split(' and '), options, changes.in_frames)
    try:
        videos, notes = apply_changes(content.videos, changes, rates)
        warnings = check(videos)
    except AnnotationError as error:
        raise AnnotationError(f'{first_few(inputs)}: {error}') from error
    lost = write_annotations(out, videos, to, Options(labels=labels))
    return Conversion(content.form, videos, (*_notes(content), *notes, *lost), warnings)


def apply_changes(
    videos: Mapping[str, Video], changes: Changes, rates: Mapping[str, float]
) -> tuple[dict[str, Video], list[str]]:
    """Change videos as :class:`Changes` says.

    Args:
        videos: Videos by id; they are left as they are.
        changes: What to change.
        rates: Frames per second by video, which come before ``changes.fps``.

    Returns:
        The changed videos, and what was left out.

    Raises:
        AnnotationError: There is no such label or subset, or times are frames and a frame rate is
            not known.
    """
    chosen = choose_subset(videos, changes.subsets)
    _check_known(
        'subset', changes.rename_subsets, {video.subset or '' for video in chosen.values()}
    )
    dropped: collections.Counter[str] = collections.Counter()
    changed = {}
    for video_id, video in chosen.items():
        actions = [
            action for action in video.annotations if action['label'] not in changes.drop_labels
        ]
        dropped.update(action['label'] for action in video.annotations)
        dropped.subtract(action['label'] for action in actions)
        own = video.fps or (video.num_frames / video.duration if video.num_frames else None)
        fps = own or rates.get(video_id, changes.fps)
        if changes.in_frames:
            actions = _in_seconds(video_id, actions, fps)
        changed[video_id] = dataclasses.replace(
            video,
            subset=changes.rename_subsets.get(video.subset or '', video.subset),
            annotations=tuple(actions),
            fps=video.fps if own else fps,
        )
    _check_known('label', changes.drop_labels, dropped)
    notes = [
        f'{dropped[label]} actions with label {label!r} are left out'
        for label in changes.drop_labels
    ]
    if len(chosen) < len(videos):
        notes.append(
            f'{len(videos) - len(chosen)} of {len(videos)} videos are of other subsets and left out'
        )
    return changed, notes


def check(videos: Mapping[str, Video]) -> tuple[str, ...]:
    """Check videos before they are written.

    Returns:
        What :func:`~.checks.check_annotations` finds.

    Raises:
        AnnotationError: There are faults that speak of a misread file.
    """
    faults = systematic_faults(videos)
    if faults:
        in_frames = faults[0].kind == 'segments-in-frames'
        hint = ': give --in-frames, and --fps where the file has no rate' if in_frames else ''
        raise AnnotationError(f'{faults[0].message}{hint}')
    return tuple(
        f'{finding.message}: {first_few(finding.examples)}'
        for finding in check_annotations(videos)
        if finding.level != 'info'
    )


def _read(
    inputs: Sequence[Path],
    source: str | None,
    options: Options,
    durations: Path | None,
    table: Mapping[str, Mapping[str, float]],
) -> AnnotationFile:
    try:
        content = read_annotations(inputs, source, options)
    except NoDurationError as error:
        others = (
            f'. {durations} has {len(table)} videos: {first_few(map(repr, table))}'
            if durations
            else ''
        )
        raise NoDurationError(f'{error}{others}') from error
    if content.faults:
        raise AnnotationError(
            f'{first_few(inputs)}: {len(content.faults)} videos cannot be read: '
            f'{first_few(content.faults)}'
        )
    return content


def _check_uses(forms: Sequence[str], options: Options, in_frames: bool) -> None:
    """Check that no option goes unheard, and that times are not divided twice."""
    named = {'epic', 'charades', 'frame_labels'}
    if options.labels not in (None, *epic_kitchens.LABELS) and named.isdisjoint(forms):
        raise AnnotationError(
            f'--labels: expected {"|".join(epic_kitchens.LABELS)} of EPIC-Kitchens, or a file of '
            f'class names for charades and frame_labels, got {options.labels!r}'
        )
    own = [form for form in forms if FORMATS[form].own_unit]
    if in_frames and own:
        raise AnnotationError(
            f'--in-frames: times of {own[0]} have a unit of their own, and are seconds once they '
            'are read: leave it out'
        )
    for option, form, value in (
        ('--background', 'frame_labels', options.background),
        ('--tier', 'elan', options.tiers),
        ('--annotator', 'label_studio', options.annotator),
    ):
        if value is not None and form not in forms:
            raise AnnotationError(
                f'{option} is for {form}, and this is {" and ".join(forms)}: leave it out'
            )


def _in_seconds(video_id: str, actions: Sequence[dict], fps: float | None) -> list[dict]:
    if fps is None:
        raise AnnotationError(
            f'video {video_id!r}: the frame rate is not known: give --fps, or a column fps '
            'in the file of --durations'
        )
    return [{**action, 'segment': [time / fps for time in action['segment']]} for action in actions]


def _check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise AnnotationError(f'there is no {what} {unknown[0]!r} in the annotations')


def _notes(content: AnnotationFile) -> list[str]:
    repeated = [
        f'{key!r} occurs more than once in an object: only the last is read'
        for key in content.repeated_keys
    ]
    return [*repeated, *content.notes]
