"""One HTML page for the detections of one video, beside the video itself when there is one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sola_plugin.io import atomic_write

from .pictures import check_segments, class_styles
from .render import template_environment
from .timeline import first_free_rows, opacities

#: More marks than this make a page slow; the best ones are drawn.
MAX_SHOWN = 2000
#: Pixels.
_ROW_HEIGHT = 18


def write_timeline_page(
    path: str | os.PathLike,
    detections: Sequence[Mapping[str, Any]],
    duration: float,
    *,
    title: str,
    lead: str = '',
    video: str | os.PathLike | None = None,
    threshold: float = 0.0,
    classes: Sequence[str] | None = None,
) -> None:
    """Write the page; a file of that name is replaced only when the new one is complete.

    It is one file with a lane for each class, a table and a slider for the smallest score that is
    shown. With a video, a playhead moves over the lanes and a click on a detection seeks. Nothing
    is loaded but the video, from its place relative to the page, so both can be moved together.
    Without scripts the page is a still picture of it.

    Args:
        path: File to write, ``.html``.
        detections: Best first: ``dict(segment=[start, end] in seconds, label=str, score=float)``.
            Of more than 2000 the first ones are shown.
        duration: Length of the video in seconds.
        title: Heading of the page, for example the name of the video.
        lead: A sentence under the title.
        video: The video file.
        threshold: Score at which the slider stands at first.
        classes: All classes in order, so that each keeps its colour from page to page; default:
            those that occur, sorted.

    Raises:
        ValueError: ``duration`` is not positive, or a detection is malformed.
        OSError: The file cannot be written.
    """
    if not 0 < duration < float('inf'):
        raise ValueError(f'duration: expected a positive number of seconds, got {duration}')
    check_segments(detections, 'detections', scored=True)
    marks = _marks(detections[:MAX_SHOWN], duration, threshold)
    html = (
        template_environment()
        .get_template('timeline.html.j2')
        .render(
            title=title,
            lead=lead,
            video=None if video is None else _address(Path(video), Path(path)),
            duration=duration,
            lanes=_lanes(marks, classes),
            marks=sorted(marks, key=lambda mark: (mark['start'], mark['end'])),
            left_out=max(len(detections) - MAX_SHOWN, 0),
            threshold=threshold,
            best=max((mark['score'] for mark in marks), default=1.0),
            lowest=min((mark['score'] for mark in marks), default=0.0),
            row_height=_ROW_HEIGHT,
        )
    )
    with atomic_write(path) as file:
        file.write(html)


def clock(seconds: float) -> str:
    """Write a time as people read it.

    >>> clock(75.25), clock(3723.04)
    ('1:15.2', '1:02:03.0')
    """
    tenths = round(10 * seconds)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return (f'{hours}:{minutes:02d}' if hours else f'{minutes}') + f':{tenths / 10:04.1f}'


def _marks(
    detections: Sequence[Mapping[str, Any]], duration: float, threshold: float
) -> list[dict[str, Any]]:
    """What the template reads of a detection; ``left`` and ``width`` are percent of the video."""
    marks = []
    strengths = opacities([item['score'] for item in detections])
    for number, (item, opacity) in enumerate(zip(detections, strengths)):
        start, end = (min(max(float(time), 0.0), duration) for time in item['segment'])
        marks.append(
            {
                'number': number,
                'label': item['label'],
                'score': float(item['score']),
                'start': start,
                'end': end,
                'from': clock(start),
                'to': clock(end),
                'left': 100 * start / duration,
                'width': 100 * (end - start) / duration,
                'opacity': opacity,
                'hidden': item['score'] < threshold,
            }
        )
    return marks


def _lanes(marks: Sequence[dict[str, Any]], classes: Sequence[str] | None) -> list[dict[str, Any]]:
    """Lanes of the classes that occur; marks get their ``row``."""
    occurring = {mark['label'] for mark in marks}
    names = list(dict.fromkeys([*(classes or ()), *sorted(occurring)]))
    styles = class_styles(names)
    lanes = []
    for name in names:
        if name not in occurring:
            continue
        mine = [mark for mark in marks if mark['label'] == name]
        rows = first_free_rows([(mark['start'], mark['end']) for mark in mine])
        for mark, row in zip(mine, rows):
            mark['row'] = row
        shown = [mark['row'] for mark in mine if not mark['hidden']]
        lanes.append(
            {
                'name': name,
                'colour': styles[name].colour,
                'marks': mine,
                'rows': max(shown, default=0) + 1,
            }
        )
    return lanes


def _address(video: Path, page: Path) -> str:
    """Address of the video relative to the page."""
    try:
        relative = os.path.relpath(video, page.parent)
    except ValueError:  # another drive
        return video.resolve().as_uri()
    return quote(Path(relative).as_posix())
