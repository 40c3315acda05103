"""The features that a trained neck makes: divided among ranks, resumed, in bounded memory."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, barrier, broadcast_object_list
from torch import Tensor

from sola_plugin.datasets.features.fingerprint import record_features
from sola_plugin.datasets.features.lazy import LazyFeatures, stored_features
from sola_plugin.datasets.features.open import describe_source, open_features
from sola_plugin.datasets.features.readers import FeatureError
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.datasets.features.writers import Array
from sola_plugin.file_names import FileNameError
from sola_plugin.locking import hold_lock
from sola_plugin.necks import Neck, build_sola
from sola_plugin.necks.checkpoint import weights_hash
from sola_plugin.necks.context import apply_in_context
from sola_plugin.pretraining.provenance import warn_of_other_features
from sola_plugin.pretraining.ranks import divide_among_ranks, own_device
from sola_plugin.progress import Show

from .form import OutputForm, array_name, output_form, output_names
from .staging import Staging


@dataclass(frozen=True)
class TransformationResult:
    """What was written.

    Attributes:
        finished: Ids of the videos that the output has.
        failed: Videos that were skipped, and why.
        kind: ``'folder'``, ``'archive'`` or ``'packed'``.
    """

    finished: tuple[str, ...]
    failed: dict[str, str]
    kind: str


def transform_features(
    checkpoint: str | os.PathLike,
    source: Any,
    out: str | os.PathLike,
    format: str | None = None,
    out_layout: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    show: Show | None = None,
    **options: Any,
) -> TransformationResult:
    """Write the features that a neck makes of others, in the same form or in another one.

    The values are those that the neck gives inside a localizer, to float tolerance: long videos go
    through it in windows with all the context that its outputs depend on. Under ``torchrun`` each
    rank takes its share. The output appears when it is complete; until then finished videos are in
    ``<out>.parts``, from where the same call goes on.

    Args:
        checkpoint: ``sola.pth``, or the checkpoint of a localizer with a neck, see
            :func:`~sola_plugin.necks.read_sola`.
        source: See :func:`~sola_plugin.datasets.features.open.open_features`.
        out: A folder, or one file with all videos (``.h5 .npz .pt .pkl``).
        format: See :func:`~.form.output_form`.
        out_layout: Its ``layout``.
        dtype: See there.
        device: Where the neck computes; ``None``: a GPU for each rank, if there are any.
        show: Told of the progress.
        **options: Of :func:`~sola_plugin.datasets.features.open.open_features`.

    Returns:
        What was written, or was there already; the same on all ranks.

    Raises:
        BusyError: Another process writes there.
        FeatureError: The source cannot be read or does not fit the neck, its values become too
            large, or ``out`` holds something else or lies in the source.
        FileNotFoundError: There is no such checkpoint.
        OSError: The output cannot be written.
        ValueError: The checkpoint holds no neck, or ``out`` was begun with other settings.
    """
    rank, world_size = divide_among_ranks()
    out = Path(out)
    neck = build_sola(checkpoint).eval()
    _refuse_overlap(source, out)
    store = open_features(source, **options)
    _check_channels(store, neck)
    form = output_form(store, out, format, out_layout, dtype)
    names = output_names(store, store.ids(), form)
    staging = Staging(out, form, _settings(neck, store, form, options))
    with hold_lock(staging.root) if rank == 0 else contextlib.nullcontext():
        state = [_begin(staging) if rank == 0 else None]
        broadcast_object_list(state)
        if state[0] is not None:
            return TransformationResult(*state[0], form.kind)
        if rank == 0:
            warn_of_other_features(checkpoint, store)
        job = _Job(store, neck.to(device or own_device()), staging, names)
        failed = _transform_share(job, _share(store, rank, world_size), show)
        for others in all_gather_object(failed):
            failed.update(others)
        failed = dict(sorted(failed.items()))
        finished = {key: name for key, name in names.items() if key not in failed}
        if rank == 0:
            _finish(staging, finished, failed, _description(source, staging))
        barrier()
    return TransformationResult(tuple(finished), failed, form.kind)


@dataclass(frozen=True)
class _Job:
    """What the work on a video needs."""

    store: FeatureStore
    neck: Neck
    staging: Staging
    names: Mapping[str, str]


def _begin(staging: Staging) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """What a complete output holds; ``None``: there is work to do."""
    if staging.is_complete():
        record = staging.read_record()
        staging.clear()  # a kill may have left it
        return tuple(record['videos']), record['failed']
    staging.begin()
    return None


def _share(store: FeatureStore, rank: int, world_size: int) -> list[str]:
    """Videos of a rank: the largest files first, in turn, so that all end at about one time."""
    ordered = [sorted(store.ids(), key=lambda video: _size(store, video), reverse=True)]
    broadcast_object_list(ordered)  # files may grow while they are looked at
    return ordered[0][rank::world_size]


def _transform_share(job: _Job, videos: Sequence[str], show: Show | None) -> dict[str, str]:
    """Transform the videos of one rank; what was skipped, by id."""
    failed = {}
    for done, video_id in enumerate(videos):
        tell = None if show is None else functools.partial(_tell, show, video_id, done, len(videos))
        try:
            _transform_video(job, video_id, tell)
        except FileNameError as error:
            failed[video_id] = str(error)
        if show is not None:
            show(video_id, done + 1, len(videos))
    return failed


def _tell(show: Show, video_id: str, done: int, total: int, snippet: int, length: int) -> None:
    show(f'{video_id}, snippet {snippet} of {length}', done, total)


def _transform_video(job: _Job, video_id: str, tell: Any) -> None:
    """Transform one video, unless it is finished."""
    path = job.staging.path(video_id, job.names[video_id])
    stats = [each.stat() for each in job.store.files(video_id)]
    stamps = [[stat.st_size, stat.st_mtime_ns] for stat in stats]
    if job.staging.has(video_id, path, stamps):
        return
    features, form = stored_features(job.store, video_id), job.staging.form
    stored = job.store.form(video_id)
    dtype = form.dtype_of(stored.dtype)
    array = Array(
        shape=(features.shape[1], features.shape[0]),
        dtype=dtype,
        layout=form.layout_of(path.suffix, stored.layout),
        parts=_one_ahead(
            _checked(transformed_rows(job.neck, features, tell), dtype, job, video_id)
        ),
    )
    name = array_name(job.store, video_id, path.suffix.lower()) if form.kind == 'folder' else None
    job.staging.save(video_id, path, stamps, array, name)


@torch.inference_mode()
def transformed_rows(neck: Neck, features: LazyFeatures, tell: Any = None) -> Iterator[np.ndarray]:
    """Features of a video behind a neck, a part at a time.

    Args:
        neck: In evaluation mode.
        features: ``(C, T)``.
        tell: Told how many snippets of how many are done.

    Yields:
        Float32 rows ``(n, C)``, T in all.
    """
    total = features.shape[1]
    device = next(neck.parameters(), torch.empty(0)).device

    def read(start: int, stop: int) -> Tensor:
        return torch.from_numpy(features[:, start:stop]).to(device)

    for start, stop in features.spans():
        # PyTorch turns the axes several times faster than NumPy.
        yield apply_in_context(neck, read, start, stop, total).T.contiguous().cpu().numpy()
        if tell is not None:
            tell(stop, total)


def _one_ahead(parts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The parts; the next one is computed while one is written."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = thread.submit(next, parts, None)
            yield part


def _checked(
    parts: Iterator[np.ndarray], dtype: np.dtype, job: _Job, video_id: str
) -> Iterator[np.ndarray]:
    """Refuse values that the file could not hold."""
    for rows in parts:
        with np.errstate(over='ignore'):
            cast = np.ascontiguousarray(rows, dtype)
        if not np.isfinite(cast).all():
            advice = 'write float32' if np.isfinite(rows).all() else 'check the neck'
            raise FeatureError(
                f'features of {video_id!r} ({job.store.where(video_id)}): expected finite {dtype} '
                f'behind the neck, got values up to {np.abs(rows).max():.6g}: {advice}'
            )
        yield cast


def _finish(
    staging: Staging,
    names: Mapping[str, str],
    failed: Mapping[str, str],
    description: Mapping[str, Any],
) -> None:
    if not names:
        raise FeatureError(f'{staging.out}: no video can be written: {next(iter(failed.values()))}')
    staging.finish(names, failed, description)


def _refuse_overlap(source: Any, out: Path) -> None:
    """Refuse to write into what is read."""
    if out.name in ('', '..'):
        raise FeatureError(f'{out}: expected the name of a new folder or file')
    if isinstance(source, (list, tuple)):
        for part in source:
            _refuse_overlap(part, out)
        return
    root = Path(source['root'] if isinstance(source, Mapping) else source).resolve()
    if root == out.resolve() or root in out.resolve().parents:
        raise FeatureError(
            f'{out} is, or lies in, the source {root}: write the features somewhere else'
        )


def _check_channels(store: FeatureStore, neck: Neck) -> None:
    if neck.in_channels not in (None, store.channels):
        raise FeatureError(
            f'features of {store.name} have {store.channels} channels, the neck expects '
            f'{neck.in_channels}: take those that it was trained on, or check feat_dim and layout'
        )


def _settings(
    neck: Neck, store: FeatureStore, form: OutputForm, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the output depends on."""
    return dict(
        neck=neck.settings,
        weights_sha256=weights_hash(neck),
        source=record_features(store),
        reading={key: value for key, value in options.items() if value is not None},
        kind=form.kind,
        suffix=form.suffix,
        layout=form.layout,
        dtype=form.dtype,
    )


def _description(source: Any, staging: Staging) -> dict[str, Any]:
    """What ``features.json`` says of the source, and that it went through a neck."""
    described = describe_source(source)
    if not described:
        return {}
    if staging.form.dtype is not None:
        described['dtype'] = staging.form.dtype
    return dict(described, neck=staging.settings['neck'])


def _size(store: FeatureStore, video_id: str) -> int:
    return sum(path.stat().st_size for path in store.files(video_id))
