"""Check a data set before training: annotations, features, what the localizer's grid can reach."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from sola_plugin.datasets.annotations.checks import check_annotation_file
from sola_plugin.datasets.annotations.model import Video
from sola_plugin.datasets.findings import LEVELS, Finding
from sola_plugin.datasets.transforms import snippet_span
from sola_plugin.io import read_names
from sola_plugin.progress import Show

from .grid_oracle import GridOracle, grid_oracle, oracle_findings
from .proposal_space import Extent, ProposalSpace, proposal_space
from .subsets import Subset, build_subsets, open_features, read_annotations, read_features


@dataclasses.dataclass(frozen=True)
class DatasetReport:
    """Result of a check.

    Attributes:
        findings: Worst first.
        oracles: Of the subsets of the data set that have one, by name.
    """

    findings: tuple[Finding, ...]
    oracles: Mapping[str, GridOracle]

    def of_level(self, level: str) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]


def check_config(
    cfg: Config,
    quick: bool = False,
    progress: Show | None = None,
    timestamps: str | None = None,
) -> DatasetReport:
    """Check the datasets of a Runner config, and the grid of its model.

    Args:
        cfg: The config; of equal datasets the first is checked.
        quick: See :func:`check_dataset`.
        progress: See there.
        timestamps: See there.

    Raises:
        ValueError: The config has no datasets or no model.
    """
    datasets: dict[str, dict] = {}
    for name in ('train', 'val', 'test'):
        loader = cfg.get(f'{name}_dataloader')
        if loader is not None and loader['dataset'] not in datasets.values():
            datasets[name] = loader['dataset']
    if not datasets or 'model' not in cfg:
        raise ValueError(
            'expected a config with model and train_dataloader, val_dataloader or '
            f'test_dataloader, got {sorted(cfg)}'
        )
    evaluators = cfg.get('test_evaluator') or cfg.get('val_evaluator') or ()
    evaluators = [evaluators] if isinstance(evaluators, Mapping) else evaluators
    thresholds = next(
        (one['tiou_thresholds'] for one in evaluators if 'tiou_thresholds' in one), 'activitynet'
    )
    try:
        with DefaultScope.overwrite_default_scope('mmaction'):
            model = MODELS.build(cfg.model)
    except Exception as error:  # constructors raise anything; the data can be checked all the same
        report = check_dataset(
            datasets, None, thresholds, quick=quick, progress=progress, timestamps=timestamps
        )
        finding = Finding('error', 'model', f'the model of the config cannot be built: {error}')
        return dataclasses.replace(report, findings=(finding, *report.findings))
    return check_dataset(
        datasets, proposal_space(model), thresholds, model, quick, progress, timestamps
    )


def check_dataset(
    datasets: Mapping[str, Mapping],
    space: ProposalSpace | None = None,
    tiou_thresholds: str | Sequence[float] = 'activitynet',
    model: nn.Module | None = None,
    quick: bool = False,
    progress: Show | None = None,
    timestamps: str | None = None,
) -> DatasetReport:
    """Check the subsets of a data set.

    Args:
        datasets: Configs of ``TALFeatureDataset`` by name of the subset. One whose ``data_prefix``
            names no feature folder is checked without features.
        space: What the localizer can reach; ``None``: no oracle.
        tiou_thresholds: Of the oracle.
        model: The localizer, whose channels and classes should be those of the data.
        quick: Read a sample of the feature files only.
        progress: Told of every file of features that is read.
        timestamps: End of the names of files with the times of the snippets, which lie beside the
            features, such as ``'_timestamps_ms.npy'``; ``None``: there are none.

    Returns:
        What was found; of several findings that are the same, one.
    """
    subsets, findings = build_subsets(datasets)
    findings += open_features(subsets)
    findings += read_annotations(subsets)
    findings += read_features(subsets, quick, progress, timestamps)
    if model is not None:
        findings += _check_model(subsets, model)
        if space is None:
            findings.append(
                Finding(
                    'info',
                    'no-oracle',
                    f'no oracle: {type(model).__name__} has no grid of proposals of its own',
                )
            )
    oracles = {}
    for subset in subsets:
        result, of_subset = (None, []) if space is None else _oracle(subset, space, tiou_thresholds)
        findings += of_subset
        if result is not None:
            oracles[subset.name] = result
    ordered = sorted(dict.fromkeys(findings), key=lambda finding: LEVELS.index(finding.level))
    return DatasetReport(tuple(ordered), oracles)


def check_files(
    annotations: str | os.PathLike,
    features: str | os.PathLike | None = None,
    subsets: Sequence[str] = (),
    classes: str | os.PathLike | None = None,
    space: ProposalSpace | None = None,
    tiou_thresholds: str | Sequence[float] = 'activitynet',
    quick: bool = False,
    progress: Show | None = None,
    timestamps: str | None = None,
    **options,
) -> DatasetReport:
    """Check annotations and features for which there is no config.

    Args:
        annotations: Annotation file.
        features: Folder of feature files; ``None``: annotations only.
        subsets: Parts to check; none given: each that the file has.
        classes: File of labels in the order of their numbers, one a line or a JSON list.
        space: See :func:`check_dataset`.
        tiou_thresholds: See there.
        quick: See there.
        progress: See there.
        timestamps: See there.
        **options: ``suffix``, ``feature_stride`` and other arguments of ``TALFeatureDataset``.

    Raises:
        OSError: There is no such file of classes.
    """
    of_videos = [video.subset for video in check_annotation_file(annotations)[0].values()]
    found = [subset for subset in dict.fromkeys(of_videos) if subset is not None]
    names = subsets or (found if None not in of_videos else ())
    options |= dict(
        type='TALFeatureDataset',
        ann_file=os.fspath(annotations),
        test_mode=True,
        data_prefix=dict(features='' if features is None else os.fspath(features)),
        classes=None if classes is None else read_names(classes),
    )
    datasets = {name: dict(options, subset=name) for name in names} or {'all': options}
    return check_dataset(datasets, space, tiou_thresholds, None, quick, progress, timestamps)


def _check_model(subsets: Sequence[Subset], model: nn.Module) -> list[Finding]:
    """Compare channels and classes."""
    findings = []
    channels = getattr(model, 'channels', None)
    classes = getattr(model, 'classes', None)
    for subset in subsets:
        theirs = {facts.channels for facts in subset.facts.values()}
        if channels is not None and theirs - {channels}:
            findings.append(
                Finding(
                    'error',
                    'model-channels',
                    (
                        f'{subset.name}: the features have '
                        f'{", ".join(map(str, sorted(theirs)))} channels, the model '
                        f'expects feat_dim={channels}: correct feat_dim, or choose other features'
                    ),
                    len(subset.facts),
                )
            )
        if classes is not None and subset.classes and list(classes) != subset.classes:
            findings.append(
                Finding(
                    'error',
                    'model-classes',
                    (
                        f'{subset.name}: the data have {len(subset.classes)} classes '
                        f'{subset.classes[:3]}, the model '
                        f'{len(classes)} {list(classes)[:3]}: give both the same classes=...'
                    ),
                )
            )
    return findings


def _oracle(
    subset: Subset, space: ProposalSpace, tiou_thresholds: str | Sequence[float]
) -> tuple[GridOracle | None, list[Finding]]:
    """The oracle of a subset, and what it says."""
    if not any(video.annotations for video in subset.videos.values()):
        return None, []
    assumed = subset.dataset.feature_stride is not None and len(subset.facts) < len(subset.usable)
    extents = {
        video_id: extent
        for video_id, video in subset.usable.items()
        if (extent := _extent(subset, video_id, video, space)) is not None
    }
    result = grid_oracle(subset.videos, extents, space, tiou_thresholds)
    if result is None:
        return None, [
            Finding(
                'info',
                'no-oracle',
                f'{subset.name}: no oracle, as neither features nor '
                'feature_stride say how many snippets a video has',
            )
        ]
    findings = (
        []
        if not assumed
        else [
            Finding(
                'info',
                'assumed-lengths',
                (
                    f'{subset.name}: where features were not read, the oracle takes their '
                    'length from duration and '
                    'feature_stride'
                ),
                len(subset.usable) - len(subset.facts),
            )
        ]
    )
    return result, findings + oracle_findings(
        subset.name, result, space, subset.crop if space.cells is None else None
    )


def _extent(subset: Subset, video_id: str, video: Video, space: ProposalSpace) -> Extent | None:
    """Where the features of a video lie; ``None``: nothing tells, and the localizer has to know."""
    stride, offset = subset.dataset.feature_stride, subset.dataset.feature_offset
    if video_id in subset.facts:
        length = subset.facts[video_id].length
    elif stride is not None:
        length = max(round((video.duration - offset) / stride), 1)
    elif space.cells is not None:
        length = space.cells
    else:
        return None
    return Extent(
        snippet_span(length, video.duration, stride, offset, video.feature_span),
        video.duration,
        length,
    )
