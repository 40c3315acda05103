"""Checks of feature files: what stops training, and what silently makes results near zero."""

from __future__ import annotations

import collections
import os
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from sola_plugin.datasets.findings import Finding, prevalence_level
from sola_plugin.messages import first_few

from .facts import FeatureFacts
from .readers import ChannelError, FeatureError
from .store import FeatureStore

#: Neighbours along the channels must be more alike than neighbours in time by this much
#: (correlation) for the axes to seem exchanged.
_EXCHANGED = 0.3

#: Ratio of the sizes of features between two parts of a data set that is worth a word.
_OTHER_SCALE = 2.0


def check_missing(store: FeatureStore, videos: Iterable[str], skip: bool = False) -> list[Finding]:
    """Look for videos without features.

    Args:
        store: The features.
        videos: Ids that are to be trained or tested on.
        skip: Whether videos without features are left out on purpose.
    """
    videos = list(videos)
    without = [video_id for video_id in videos if video_id not in store]
    if not without:
        return []
    level = 'warning' if skip and len(without) < len(videos) else 'error'
    return [
        Finding.of(
            level,
            'features-missing',
            (
                f'{len(without)} of {len(videos)} videos have no features in {store.name}, such as '
                f'{_short(store.where(without[0]))}{_name_hint(without[0], store)}: correct '
                'file_prefix or suffix, '
                "extract them, or leave these videos out with missing='skip' (in test data "
                'their actions are then '
                'left out too, which raises mAP)'
            ),
            map(repr, without),
        )
    ]


def check_unused(store: FeatureStore, known: Collection[str]) -> list[Finding]:
    """Look for features without annotations.

    Args:
        store: The features.
        known: All ids of the annotations.
    """
    alone = [video_id for video_id in store.ids() if video_id not in known]
    if not alone:
        return []
    return [
        Finding.of(
            'info',
            'features-unused',
            f'{len(alone)} of {len(store)} videos in '
            f'{store.name} have no annotations and are not used',
            map(repr, alone),
        )
    ]


def _name_hint(video_id: str, store: FeatureStore) -> str:
    """How the files are named, if the name of one holds the id."""
    if hint := store.kinds_hint(video_id):
        return hint
    for file_id in store.ids():
        name = _short(store.where(file_id))
        if video_id in name:
            before, _, after = name.partition(video_id)
            return f' (there is {name!r}: file_prefix={before!r} and suffix={after!r}?)'
    return ''


def _short(place: str) -> str:
    """Name of a place without its folder."""
    return os.path.basename(place)


def check_files(
    facts: Mapping[str, FeatureFacts], failures: Mapping[str, FeatureError]
) -> list[Finding]:
    """Check what the files hold, each for itself and against each other.

    Args:
        facts: See :func:`~sola_plugin.datasets.features.facts.read_facts`.
        failures: See there.
    """
    channels = {path: error for path, error in failures.items() if isinstance(error, ChannelError)}
    unreadable = [error for path, error in failures.items() if path not in channels]
    total = len(facts) + len(failures)
    findings = []

    def report(level: str, kind: str, message: str, cases: Sequence) -> None:
        if cases:
            findings.append(
                Finding.of(level, kind, f'{len(cases)} of {total} feature files {message}', cases)
            )

    report('error', 'unreadable', 'cannot be read: write them again', unreadable)
    report(
        'error',
        'channels',
        'have another number of channels: extract them again with the same encoder; '
        'if it is most of them, the axes are exchanged (layout)',
        list(channels.values()),
    )
    report(
        'error',
        'not-finite',
        'have NaN or infinite values: extract them again',
        [
            f'{_short(path)}: snippet {one.first_bad[0]}, channel {one.first_bad[1]} is the first; '
            f'{one.bad_snippets} of {one.length} snippets'
            for path, one in facts.items()
            if one.first_bad
        ],
    )
    constant = [_short(path) for path, one in facts.items() if one.constant]
    report(
        prevalence_level(len(constant), total),
        'constant',
        'have the same value everywhere: extract them again',
        constant,
    )
    report(
        'warning',
        'zero-snippets',
        'have snippets of zeros only: if this is padding, cut it off, as it '
        'makes the features longer than the video',
        [
            f'{_short(path)}: {one.zero_snippets} of {one.length} snippets'
            for path, one in facts.items()
            if one.zero_snippets and not one.constant
        ],
    )
    report(
        'warning',
        'counting-channel',
        'have a channel that only counts, such as row numbers, frame numbers or time stamps: it is '
        'no feature; leave it out',
        [
            f'{_short(path)}: channel {first_few(one.counting)}'
            for path, one in facts.items()
            if one.counting
        ],
    )
    return [*findings, *_equal_files(facts), *_exchanged_axes(facts), *_dtypes(facts)]


def summarize(facts: Collection[FeatureFacts]) -> list[Finding]:
    """Say what was read."""
    if not facts:
        return []
    channels, lengths = sorted({one.channels for one in facts}), [one.length for one in facts]
    norm = np.median([one.norm for one in facts if one.first_bad is None] or [np.nan])
    return [
        Finding(
            'info',
            'features',
            f'{len(facts)} feature files were read: {first_few(channels)} '
            f'channels, {min(lengths)} to {max(lengths)} snippets of median L2 norm {norm:.3g}',
            len(facts),
        )
    ]


def _equal_files(facts: Mapping[str, FeatureFacts]) -> list[Finding]:
    groups = collections.defaultdict(list)
    for path, one in facts.items():
        if not one.constant:
            groups[one.digest].append(_short(path))
    equal = [' = '.join(names) for names in groups.values() if len(names) > 1]
    if not equal:
        return []
    return [
        Finding.of(
            'warning',
            'equal-files',
            f'{len(equal)} groups of feature files have the same '
            'content under different ids: remove the copies, or extract them again (between '
            'training and test data they make results too good)',
            equal,
        )
    ]


def _exchanged_axes(facts: Mapping[str, FeatureFacts]) -> list[Finding]:
    excess = [
        one.alike_in_channels - one.alike_in_time for one in facts.values() if one.first_bad is None
    ]
    if not excess or np.median(excess) <= _EXCHANGED:
        return []
    return [
        Finding(
            'warning',
            'axes',
            (
                'neighbouring channels are more alike than neighbouring snippets '
                '(correlation higher by '
                f'{np.median(excess):.2f} in the median file): the axes seem to be '
                'exchanged, see layout'
            ),
            sum(value > _EXCHANGED for value in excess),
        )
    ]


def _dtypes(facts: Mapping[str, FeatureFacts]) -> list[Finding]:
    counts = collections.Counter(one.dtype for one in facts.values() if one.dtype != 'float32')
    whole = sum(times for name, times in counts.items() if 'int' in name)
    findings = []
    if whole:
        findings.append(
            Finding(
                'warning',
                'whole-numbers',
                ('feature files hold integers: expected float features; were they quantised?'),
                whole,
            )
        )
    if counts:
        seen = ', '.join(f'{times} {name}' for name, times in counts.items())
        findings.append(
            Finding(
                'info',
                'dtype',
                f'of {len(facts)} feature files {seen}; they are read as float32',
                counts.total(),
            )
        )
    return findings


def check_scale(parts: Mapping[str, Iterable[FeatureFacts]]) -> list[Finding]:
    """Compare how large the features are in the parts of a data set.

    Args:
        parts: What the files of each part hold.
    """
    sizes = {}
    for name, facts in parts.items():
        norms = [one.norm for one in facts if one.first_bad is None and one.norm > 0]
        if norms:
            sizes[name] = float(np.median(norms))
    if not sizes or max(sizes.values()) <= _OTHER_SCALE * min(sizes.values()):
        return []
    shown = [f'{name}: {size:.4g}' for name, size in sizes.items()]
    return [
        Finding.of(
            'warning',
            'scale',
            'the parts have features of different size (median L2 norm of a '
            'snippet): were they extracted or normalised in the same way?',
            shown,
        )
    ]
