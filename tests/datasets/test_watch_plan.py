"""Subjects and streams of the embedded data, before anything is composed."""

from __future__ import annotations

from collections import Counter

import pytest

from sola_plugin.datasets.watch.plan import WatchSettings, draw_subjects, plan_streams
from sola_plugin.datasets.watch.streams import find_watch_file, read_recordings


@pytest.fixture(scope='module')
def recordings():
    return read_recordings(find_watch_file())


@pytest.mark.parametrize(('split', 'sizes'), [('time', (3, 7, 7)), ('subject', (3, 4, 3))])
def test_subjects_of_encoder_and_streams(recordings, split, sizes):
    subjects = draw_subjects(WatchSettings(split=split), recordings)
    encoder, training, testing = (set(subjects[key]) for key in ('encoder', 'training', 'testing'))
    assert (len(encoder), len(training), len(testing)) == sizes
    assert not encoder & (training | testing)
    assert (training == testing) if split == 'time' else not training & testing


def test_streams_of_every_subset(recordings):
    settings = WatchSettings(split='subject', foreign=6)
    subjects = draw_subjects(settings, recordings)
    plans = plan_streams(settings, subjects)
    assert Counter(plan.subset for plan in plans) == {
        'training': 14,
        'unlabelled': 42,
        'testing': 42,
        'foreign': 6,
    }
    assert len({plan.video for plan in plans}) == len({plan.seed for plan in plans}) == len(plans)
    # Which subjects, which part, which exercises, whether with annotations.
    action, other = (('ABD', 'ROW'), ('FEL', 'PEN')), (('TRAP',), ('IR', 'ER'))
    expected = {
        'training': ('training', (0.0, 0.74), action, True),
        'unlabelled': ('training', (0.0, 0.74), action, False),
        'testing': ('testing', (0.76, 1.0), action, True),
        'foreign': ('encoder', (0.0, 0.74), other, False),
    }
    for plan in plans:
        whose, part, groups, annotated = expected[plan.subset]
        assert plan.subject in subjects[whose]
        assert (plan.part, plan.groups, plan.annotated) == (part, groups, annotated)
    # Each of the encoder's three subjects with each arm.
    arms = {(plan.subject, plan.side) for plan in plans if plan.subset == 'foreign'}
    assert len(arms) == 6


def test_foreign_streams_change_no_other_stream(recordings):
    subjects = draw_subjects(WatchSettings(), recordings)
    without, with_foreign = (
        plan_streams(WatchSettings(foreign=number), subjects) for number in (0, 5)
    )
    assert with_foreign[:-5] == without
