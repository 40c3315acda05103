"""The annotation sets of the tests: made ones have their quirks, missing ones are named."""

from __future__ import annotations

import pytest

from tests.annotation_sets import activitynet_like, made_detections, thumos14_like
from tests.reference import reference_file


def test_a_missing_file_is_named_with_its_place(tmp_path, monkeypatch):
    monkeypatch.setenv('SOLA_REFERENCE', str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match=rf'a\.json is not .* in {tmp_path}: put it'):
        reference_file('a.json')
    monkeypatch.setenv('SOLA_REFERENCE', str(tmp_path / 'nowhere'))
    with pytest.raises(pytest.skip.Exception, match='name its folder .*SOLA_REFERENCE'):
        reference_file('a.json')
    (tmp_path / 'a.json').write_text('{}')
    monkeypatch.setenv('SOLA_REFERENCE', str(tmp_path))
    assert reference_file('a.json') == tmp_path / 'a.json'


@pytest.mark.parametrize('make', [activitynet_like, thumos14_like], ids=['activitynet', 'thumos14'])
def test_a_seed_is_a_set(make):
    assert make() == make() != make(seed=1)
    database = make()['database']
    subset = database[next(iter(database))]['subset']
    detections = made_detections(database, subset, 3, 0)
    assert detections == made_detections(database, subset, 3, 0)
    assert detections != made_detections(database, subset, 3, 1)


def test_quirks_of_activitynet():
    """The findings of the checks tell the others, see ``test_annotation_checks``."""
    database = activitynet_like()['database']
    assert {len(video_id) for video_id in database} == {11}
    assert any(video_id.startswith('-') for video_id in database)
    assert {v['subset'] for v in database.values() if not v['annotations']} == {'testing'}
    starts = [[a['segment'][0] for a in video['annotations']] for video in database.values()]
    assert any(each != sorted(each) for each in starts)
    assert any(len({a['label'] for a in v['annotations']}) == 2 for v in database.values())


def test_quirks_of_thumos14():
    for video in thumos14_like()['database'].values():
        segments = [tuple(a['segment']) for a in video['annotations']]
        assert video['duration'] == round(max(end for _, end in segments) + 10, 1)
        diving = {tuple(a['segment']) for a in video['annotations'] if a['label'] == 'Diving'}
        cliff = {tuple(a['segment']) for a in video['annotations'] if a['label'] == 'CliffDiving'}
        assert cliff <= diving and all(end - start >= 0.2 - 1e-9 for start, end in segments)
