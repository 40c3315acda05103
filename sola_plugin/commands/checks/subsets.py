"""The subsets of a data set (training, testing), read for a check: no fault stops it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

from sola_plugin.datasets.annotations.checks import check_annotation_file, check_annotations
from sola_plugin.datasets.annotations.model import AnnotationError, Video, choose_subset
from sola_plugin.datasets.features.checks import (
    check_files,
    check_missing,
    check_scale,
    check_unused,
    summarize,
)
from sola_plugin.datasets.features.facts import FeatureFacts, read_facts
from sola_plugin.datasets.features.length_checks import check_lengths
from sola_plugin.datasets.features.readers import FeatureError, LayoutError
from sola_plugin.datasets.features.store import FeatureStore
from sola_plugin.datasets.features.timestamps import check_timestamps
from sola_plugin.datasets.findings import Finding
from sola_plugin.datasets.tal_dataset import TALFeatureDataset
from sola_plugin.datasets.transforms import CropFeatures
from sola_plugin.progress import Show, counted

#: Files that a quick check reads of each subset.
_NUM_QUICK = 64


@dataclasses.dataclass
class Subset:
    """One subset of a data set.

    Attributes:
        name: ``'train'``, ``'test'``, ...
        dataset: Its settings; never initialised, as the first fault would stop that.
        videos: The videos of its subsets that could be read.
        classes: Labels in the order of their numbers.
        store: Its features; ``None`` where there are none.
        facts: What the feature files hold that were read, by id.
    """

    name: str
    dataset: TALFeatureDataset
    videos: dict[str, Video] = dataclasses.field(default_factory=dict)
    classes: list[str] = dataclasses.field(default_factory=list)
    store: FeatureStore | None = None
    facts: dict[str, FeatureFacts] = dataclasses.field(default_factory=dict)

    @property
    def usable(self) -> dict[str, Video]:
        """The videos that have features, or all where there are no features."""
        return {
            video_id: video
            for video_id, video in self.videos.items()
            if self.store is None or video_id in self.store
        }

    @property
    def crop(self) -> int | None:
        """Snippets of a video that its pipeline takes at most."""
        return next(
            (
                step.max_length
                for step in self.dataset.pipeline.transforms
                if isinstance(step, CropFeatures)
            ),
            None,
        )


def build_subsets(datasets: Mapping[str, Mapping]) -> tuple[list[Subset], list[Finding]]:
    """Make subsets of dataset configs.

    Args:
        datasets: Configs of ``TALFeatureDataset``, or mmaction2's ``ActivityNetDataset``, by name.

    Returns:
        The subsets, and why others cannot be made.
    """
    subsets, findings = [], []
    for name, options in datasets.items():
        try:
            subsets.append(Subset(name, _build(dict(options))))
        except (KeyError, TypeError, ValueError) as error:
            findings.append(Finding('error', 'dataset', f'{name}: {error}'))
    return subsets, findings


def _build(options: dict) -> TALFeatureDataset:
    if options.get('type') == 'ActivityNetDataset':
        options = dict(
            type='TALFeatureDataset',
            ann_file=options['ann_file'],
            suffix='.csv',
            data_root=options.get('data_root', ''),
            data_prefix=dict(features=options['data_prefix']['video']),
        )
    with DefaultScope.overwrite_default_scope(
        'mmaction'
    ):  # where the steps of its pipeline are found
        dataset = DATASETS.build(dict(options, lazy_init=True))
    if not isinstance(dataset, TALFeatureDataset):
        raise TypeError(
            f'expected a dataset of type TALFeatureDataset, got {options["type"]}: not checked'
        )
    return dataset


def read_annotations(subsets: Sequence[Subset]) -> list[Finding]:
    """Give the subsets their videos and classes, and check them; each file is read once."""
    findings: list[Finding] = []
    by_file: dict[str, list[Subset]] = {}
    for subset in subsets:
        by_file.setdefault(subset.dataset.ann_file, []).append(subset)
    for path, members in by_file.items():
        durations = next(
            (subset.dataset.durations(subset.store) for subset in members if subset.store), None
        )
        videos, problems = check_annotation_file(path, durations)
        findings += problems
        if not videos:
            continue
        labels = sorted(
            {action['label'] for video in videos.values() for action in video.annotations}
        )
        used: dict[str, Video] = {}
        for subset in members:
            known = subset.dataset.known_classes
            subset.classes = labels if known is None else known
            try:
                subset.videos = choose_subset(
                    subset.dataset.without_excluded(videos),
                    subset.dataset.subsets,
                    subset.dataset.patterns,
                )
            except (AnnotationError, OSError) as error:
                findings.append(Finding('error', 'subset', f'{subset.name}: {path}: {error}'))
            used |= subset.videos
            if subset.store is not None:
                findings += check_unused(subset.store, videos)
        findings += check_annotations(used, members[0].dataset.known_classes)
    classes = [subset.classes for subset in subsets if subset.videos]
    if any(other != classes[0] for other in classes):
        findings.append(
            Finding(
                'error',
                'classes',
                'the subsets have different classes, so that labels have '
                'different numbers: give all the same classes=...',
            )
        )
    return findings


def open_features(subsets: Sequence[Subset]) -> list[Finding]:
    """Open the features of the subsets that name some."""
    findings = []
    for subset in subsets:
        if subset.dataset.data_prefix['features']:
            try:
                subset.store = subset.dataset.open_features()
            except FeatureError as error:
                findings.append(Finding('error', 'features', str(error)))
    return findings


def read_features(
    subsets: Sequence[Subset],
    quick: bool,
    progress: Show | None,
    timestamps: str | None = None,
) -> list[Finding]:
    """Give the subsets what their feature files hold, and check it; each file is read once.

    Args:
        subsets: With videos and features.
        quick: Read a sample of each subset only.
        progress: Told of every file that is read.
        timestamps: End of the names of files with the times of the snippets.
    """
    findings: list[Finding] = []
    facts: dict[str, FeatureFacts] = {}
    failures: dict[str, FeatureError] = {}
    for subset in subsets:
        if subset.store is not None and subset.videos:
            findings += [
                dataclasses.replace(finding, message=f'{subset.name}: {finding.message}')
                for finding in [
                    *_read_subset(subset, subset.store, quick, progress, facts, failures),
                    *_timestamps(subset, subset.store, timestamps),
                ]
            ]
    return [
        *findings,
        *check_files(facts, failures),
        *check_scale({subset.name: subset.facts.values() for subset in subsets}),
    ]


def _read_subset(
    subset: Subset,
    store: FeatureStore,
    quick: bool,
    progress: Show | None,
    facts: dict[str, FeatureFacts],
    failures: dict[str, FeatureError],
) -> list[Finding]:
    """Add the files of one subset to ``facts`` and ``failures``, and check ids and lengths."""
    findings = check_missing(store, subset.videos, subset.dataset.missing == 'skip')
    ids = list(subset.usable)
    if quick:
        ids = ids[:: -(-len(ids) // _NUM_QUICK) or 1]
        findings.append(
            Finding(
                'info',
                'quick',
                f'{len(ids)} of {len(subset.usable)} feature files were read (--quick)',
                len(ids),
            )
        )
    paths = {video_id: store.where(video_id) for video_id in ids}
    unread = [
        video_id for video_id, path in paths.items() if path not in facts and path not in failures
    ]
    try:
        read, failed = read_facts(store, counted(unread, progress, f'{subset.name}: features'))
    except LayoutError as error:
        return [*findings, Finding('error', 'layout', str(error))]
    facts |= read
    failures |= failed
    subset.facts = {video_id: facts[path] for video_id, path in paths.items() if path in facts}
    return [
        *findings,
        *summarize(subset.facts.values()),
        *check_lengths(*_lengths(subset), subset.dataset.feature_stride),
    ]


def _timestamps(subset: Subset, store: FeatureStore, suffix: str | None) -> list[Finding]:
    """What the times beside the features of a subset say."""
    if suffix is None:
        return []
    paths = {}
    for video_id in subset.facts:
        file = store.files(video_id)[0]
        paths[video_id] = file.with_name(f'{subset.dataset.file_prefix}{video_id}{suffix}')
    return check_timestamps(paths, *_lengths(subset), subset.dataset.feature_stride)


def _lengths(subset: Subset) -> tuple[dict[str, int], dict[str, float]]:
    """Snippets, and seconds that they should cover, by id."""
    lengths, durations = {}, {}
    for video_id, facts in subset.facts.items():
        video = subset.videos[video_id]
        start, end = (subset.dataset.feature_stride is None and video.feature_span) or (
            0.0,
            video.duration,
        )
        lengths[video_id], durations[video_id] = facts.length, end - start
    return lengths, durations
