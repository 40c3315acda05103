"""A data set of one's own to begin with: a small made one, its config, and what to type."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np

from sola_plugin.io import atomic_write

from .shipped import CONFIGS

#: The config that is copied.
_CONFIG = CONFIGS / 'examples/own_data.py'

_CHANNELS, _STRIDE, _CLASSES = 16, 0.5, ('jump', 'wave')

#: Videos of the example: subset, number.
_VIDEOS = (('training', 6), ('validation', 2))

_README = """\
# A data set of your own

This folder works as it is. Put your files in the place of the made ones, step by step, and check
after each.

    sola check-dataset {config}
    sola train {config}
    sola test {config} {work_dir}/last_checkpoint
    sola localize {config} {work_dir}/last_checkpoint {features}/video_06.npy --out {out}

## Features: `features/<id>.npy`

One array `(snippets, channels)` a video; other formats and orientations work, too. From videos:
`sola extract-features`. Set `feat_dim`, `feature_stride` (seconds from one snippet to the next) and
`feature_offset` at the top of `config.py`.

## Annotations: `annotations.json`

    {{"database": {{
      "<id>": {{
        "subset": "training",
        "duration": 42.0,
        "annotations": [{{"label": "jump", "segment": [3.5, 9.0]}}]
      }}
    }}}}

Ids are the names of the feature files without their ending. `duration` and `segment` are seconds
from the start of the video. `subset` is any word that the config names: `training` and `validation`
here. A video without actions has an empty list. Tables (CSV) and the files of other data sets and
annotation tools become this by `sola convert-annotations IN OUT`. Then set `classes` in
`config.py`: every label once, in any order that you keep.

## Does SoLa help on your data?

Train once more without it, and compare: the same config without `model.neck` and without
`SoLaPretrainHook`. With several seeds: `sola ablate`.
"""


def new_dataset(folder: str | os.PathLike) -> list[Path]:
    """Write a small data set, its config and a page of commands into a new folder.

    Args:
        folder: Is made; it must be empty if it exists.

    Returns:
        The files, but for those of the features.

    Raises:
        FileExistsError: There are files in the folder.
        OSError: It cannot be written to.
    """
    root = Path(folder)
    if root.is_dir() and any(root.iterdir()) or root.is_file():
        raise FileExistsError(f'{root} exists and is not empty: name a new folder')
    features = root / 'features'
    features.mkdir(parents=True)
    database = {}
    random = np.random.default_rng(0)
    subsets = [subset for subset, count in _VIDEOS for _ in range(count)]
    for number, subset in enumerate(subsets):
        name = f'video_{number:02d}'
        rows, annotations = _made_video(random)
        with atomic_write(features / f'{name}.npy', 'wb') as file:
            np.save(file, rows)
        database[name] = dict(subset=subset, duration=len(rows) * _STRIDE, annotations=annotations)
    texts = {
        'annotations.json': json.dumps(dict(database=database), indent=1),
        'config.py': _config(root),
        'README.md': _README.format(
            config=root / 'config.py',
            work_dir=root / 'work',
            features=features,
            out=root / 'found',
        ),
    }
    for name, text in texts.items():
        with atomic_write(root / name) as file:
            file.write(text)
    return [root / name for name in texts]


def _made_video(random: np.random.Generator) -> tuple[np.ndarray, list[dict]]:
    """Features ``(T, 16)`` with an action of each class that shows in them, and the actions."""
    length = int(random.integers(60, 100))
    rows = random.normal(size=(length, _CHANNELS)).astype(np.float32)
    annotations = []
    for number, start in enumerate((length // 8, length // 2)):
        stop = start + int(random.integers(8, 20))
        rows[start:stop, number] += 4
        annotations.append(dict(label=_CLASSES[number], segment=[start * _STRIDE, stop * _STRIDE]))
    return rows, annotations


def _config(root: Path) -> str:
    """The shipped config, for this folder."""
    text = _CONFIG.read_text(encoding='utf-8')
    text = re.sub(r'\A(#.*\n)+\n', '# Your own data: what to change first stands first.\n\n', text)
    text = re.sub(r'(?m)^data_root = .*$', lambda _: f'data_root = {os.fspath(root) + "/"!r}', text)
    return f'{text}work_dir = {os.fspath(root / "work")!r}\n'
