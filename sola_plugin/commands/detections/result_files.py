"""Result files of other projects: the detections of ActivityNet, OpenTAD and ActionFormer."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sola_plugin.datasets.features.safe_pickle import load_arrays
from sola_plugin.evaluation.detection_files import Detections
from sola_plugin.evaluation.metrics.columns import Entries
from sola_plugin.io import read_bytes, read_json, read_names
from sola_plugin.messages import first_few

_COLUMNS = ('video-id', 't-start', 't-end', 'label', 'score')


def load_results(
    path: str | os.PathLike,
    require_labels: bool = True,
    annotations: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> dict[str, list[dict]]:
    """Read a result file of any known form, plain or gzipped; the content tells which.

    Known are ActivityNet's JSON, which OpenTAD writes as ``result_detection.json``, and the pickle
    of flat columns that ActionFormer writes as ``eval_results.pkl``. Nothing that a pickle names is
    run. Labels that are numbers, as ActionFormer's, get their names; one without becomes
    ``'label_id <number>'``.

    Args:
        path: The file.
        require_labels: False also admits entries without label (class-agnostic proposals).
        annotations: Annotation file whose ``label_id`` name the numbers.
        labels: File with the names of the numbers instead, see :func:`~sola_plugin.io.read_names`.

    Returns:
        ``{video: [{'segment': [start, end], 'score': float, 'label': str}]}``, seconds.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: The file has another form, an entry is malformed, or label numbers have no
            names; the message names the file, and the video if one is at fault.
    """
    found = read_results(path, require_labels, annotations, labels)
    return {video: list(entries) for video, entries in found.items()}


def read_results(
    path: str | os.PathLike,
    require_labels: bool = True,
    annotations: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> dict[str, Entries]:
    """Read a file as :func:`load_results` does, into a tenth of the memory."""
    detections = Detections(dict(enumerate(read_names(labels))) if labels is not None else None)
    if read_bytes(path, 1) != b'\x80':  # the first byte of a pickle, and of no text
        return detections.read(path, require_labels)
    columns = _unpickle(path, read_bytes(path))
    names = _label_columns(path, columns['label'], require_labels, annotations, labels)
    results: dict[str, list] = {}
    for video, start, end, score, name in zip(
        *(columns[key].tolist() for key in ('video-id', 't-start', 't-end', 'score')), names
    ):
        entry = {'segment': [start, end], 'score': score}
        packed = detections.pack(entry if name is None else {**entry, 'label': name})
        results.setdefault(str(video), []).append(packed)
    return detections.of_videos(path, results.items(), require_labels)


def classify_proposals(
    proposals: Mapping[str, Entries], where: str | os.PathLike, **scores: Any
) -> dict[str, Entries]:
    """Give class-agnostic proposals the best classes of their videos.

    Args:
        proposals: Of :func:`read_results`.
        where: Their file, for messages.
        **scores: Arguments of :class:`~sola_plugin.evaluation.score_files.ScoreFile`.

    Returns:
        Detections; each proposal as often as it has classes.

    Raises:
        OSError: There is no such file of scores.
        ValueError: Entries have labels already, a video has no scores, or they are no
            probabilities.
    """
    from sola_plugin.evaluation.score_files import ScoreFile  # which brings mmaction2

    for video, entries in proposals.items():
        if entries.labels():
            raise ValueError(
                f'{where}: video {video!r} has detections with labels: leave --scores out, which '
                'gives proposals theirs'
            )
    classifier = ScoreFile(**scores)
    classifier.check_videos(proposals)
    packed = Detections()
    labelled = (
        (video, [packed.pack(one) for one in classifier.classify(video, proposals=entries)])
        for video, entries in proposals.items()
    )
    return packed.of_videos(where, labelled)


def label_ids(path: str | os.PathLike) -> dict[int, str]:
    """Read the number of every label from an annotation file in ActionFormer's form.

    Args:
        path: ``{'database': {video: {'annotations': [{'label': str, 'label_id': int}]}}}``.

    Returns:
        Names by number; empty if the annotations have no ``label_id``.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: This is no such file, a ``label_id`` is not a whole number, or two labels share
            one.
    """
    names: dict[int, str] = {}
    for video, entry in read_json(path).get('database', {}).items():
        for annotation in entry['annotations']:
            number, label = annotation.get('label_id'), annotation['label']
            if number is None:
                continue
            if not isinstance(number, int) or names.setdefault(number, label) != label:
                raise ValueError(
                    f'{path}: video {video!r}: label_id {number!r} of {label!r} is not one whole '
                    'number for each label; give the names with --labels'
                )
    return names


def _unpickle(path: str | os.PathLike, data: bytes) -> dict[str, np.ndarray]:
    """Return ActionFormer's five columns, of equal length."""
    try:
        content = load_arrays(io.BytesIO(data))
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f'{path}: cannot read the pickle: {error}') from error
    if not isinstance(content, dict) or any(key not in content for key in _COLUMNS):
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"{path}: expected ActionFormer's result file, a dict with "
            f'{", ".join(_COLUMNS)}, got {found}'
        )
    try:
        columns = {key: np.asarray(content[key]) for key in _COLUMNS}
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    shapes = {key: values.shape for key, values in columns.items()}
    if len(set(shapes.values())) > 1 or len(shapes['score']) != 1:
        raise ValueError(f'{path}: expected columns of one length, got {shapes}')
    return columns


def _label_columns(
    path: str | os.PathLike,
    labels: np.ndarray,
    required: bool,
    annotations: str | os.PathLike | None,
    label_file: str | os.PathLike | None,
) -> list[str] | list[None]:
    """Return the label of each entry; ``None`` where no names are given or needed."""
    if labels.dtype.kind in 'US':
        return labels.tolist()
    if labels.dtype.kind not in 'iu':
        raise ValueError(f'{path}: expected label numbers or names, got {labels.dtype}')
    names: dict[int, str] = {}
    if label_file is not None:
        names = dict(enumerate(read_names(label_file)))
    elif annotations is not None:
        names = label_ids(annotations)
    if names:
        return [names.get(number, f'label_id {number}') for number in labels.tolist()]
    if required:
        raise ValueError(
            f'{path}: labels are numbers ({first_few(np.unique(labels))}) and the '
            "annotations have no 'label_id' to name them: give --labels FILE, one name a "
            'line, the first that of number 0'
        )
    return [None] * len(labels)
