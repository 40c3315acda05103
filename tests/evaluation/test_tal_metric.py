"""TALMetric."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmaction.registry import METRICS
from mmengine.logging import MMLogger
from toy_videos import LABELS, feed, make_videos

from sola_plugin.evaluation import average_precision, average_recall, read_detections, topk_recall
from sola_plugin.evaluation.tal_metric import TALMetric

HERE = Path(__file__).parent


def evaluate(videos, batch_size=1, **arguments):
    metric = TALMetric(**arguments)
    feed(metric, videos, batch_size)
    return metric.evaluate(len(videos))


def tables(videos):
    """Return ground truth and predictions by video."""
    return (
        {i['data_samples'].video_name: i['data_samples'].annotations for i, _ in videos},
        {p['video_name']: p['proposal_list'] for _, p in videos},
    )


@pytest.fixture
def warnings(caplog):
    """Warnings of mmengine's current logger, which does not propagate to the root."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)


def test_is_registered_and_equals_the_functions():
    videos = make_videos(20, labelled=True)
    metric = METRICS.build(dict(type='TALMetric', tiou_thresholds='thumos14', recall_at=(1, 10)))
    feed(metric, videos, 4)
    figures = metric.evaluate(len(videos))
    truth, predictions = tables(videos)
    precision = average_precision(truth, predictions, 'thumos14')
    recall = average_recall(truth, predictions)
    assert figures == {
        'TAL/mAP': precision.average,
        **{f'TAL/mAP@{t}': v for t, v in zip(('0.3', '0.4', '0.5', '0.6', '0.7'), precision.mAP)},
        'TAL/AR@1': recall.at(1),
        'TAL/AR@10': recall.at(10),
        'TAL/auc': recall.auc,
    }
    assert list(figures)[0] == 'TAL/mAP'
    assert 0 < figures['TAL/mAP'] < 1 and 0 < figures['TAL/auc'] < 1


def test_batches_order_and_repeated_videos_do_not_matter():
    videos = make_videos(20, labelled=True)
    expected = evaluate(videos)
    assert evaluate(videos, batch_size=7) == expected
    assert evaluate(videos[::-1], batch_size=3) == expected
    assert evaluate([*videos, videos[3], videos[3]], batch_size=4) == expected


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    ranks = [
        subprocess.Popen(
            [sys.executable, HERE / 'tal_metric_worker.py', str(rank), tmp_path],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], '\n'.join(errors)
    videos = make_videos(7, labelled=True)
    expected = evaluate(videos, metrics=('mAP', 'AR', 'Recall@kx'))
    assert expected['TAL/mAP'] > 0 and expected['TAL/Recall@1x'] > 0
    for rank in range(2):
        assert json.loads((tmp_path / f'rank{rank}.json').read_text()) == expected
    assert read_detections(tmp_path / 'detections.json') == tables(videos)[1]
    written = json.loads((tmp_path / 'metrics.json').read_text())
    assert written['mAP']['average'] == expected['TAL/mAP']
    assert written['Recall@kx']['5']['average'] == expected['TAL/Recall@5x']
    error, told = ((tmp_path / f'error{rank}.txt').read_text() for rank in range(2))
    assert error.startswith('ValueError: TALMetric: the proposals of 4 of 4 videos have no label')
    assert told == f'RuntimeError: TALMetric failed on the main rank: {error}'


def test_files(tmp_path):
    videos = make_videos(20, labelled=True)
    figures = evaluate(
        videos,
        tiou_thresholds=[0.5, 0.75],
        detections_file=tmp_path / 'd.json',
        metrics_file=str(tmp_path / 'sub' / 'm.json'),
    )
    assert read_detections(tmp_path / 'd.json') == tables(videos)[1]
    assert json.loads((tmp_path / 'sub' / 'm.json').read_text()) == {
        'mAP': {
            'average': figures['TAL/mAP'],
            'per_tiou': {t: figures[f'TAL/mAP@{t}'] for t in ('0.5', '0.75')},
        },
        'AR': {
            **{f'AR@{n}': figures[f'TAL/AR@{n}'] for n in (1, 5, 10, 100)},
            'auc': figures['TAL/auc'],
        },
    }


def test_topk_recall_and_figures_of_every_class(tmp_path):
    videos = make_videos(20, labelled=True)
    figures = evaluate(
        videos,
        metrics=('Recall@kx', 'mAP'),
        tiou_thresholds='0.5:0.25:0.75',
        top_k=(1, 3),
        per_class=True,
        metrics_file=tmp_path / 'm.json',
    )
    precision = average_precision(*tables(videos), [0.5, 0.75])
    recall = topk_recall(*tables(videos), [0.5, 0.75], (1, 3))
    (at_50, at_75), (three_at_50, three_at_75) = recall.recall
    assert figures == {
        'TAL/mAP': precision.average,
        'TAL/mAP@0.5': precision.mAP[0],
        'TAL/mAP@0.75': precision.mAP[1],
        'TAL/Recall@1x': recall.average[0],
        'TAL/Recall@1x@0.5': at_50,
        'TAL/Recall@1x@0.75': at_75,
        'TAL/Recall@3x': recall.average[1],
        'TAL/Recall@3x@0.5': three_at_50,
        'TAL/Recall@3x@0.75': three_at_75,
    }
    assert list(figures)[0] == 'TAL/mAP'
    assert json.loads((tmp_path / 'm.json').read_text()) == {
        'mAP': precision.to_dict(per_class=True),
        'Recall@kx': recall.to_dict(),
    }


def test_detections_survive_a_failing_evaluation(tmp_path):
    videos = [v for v in make_videos(9, labelled=True) if not v[0]['data_samples'].annotations]
    assert videos
    with pytest.raises(ValueError, match='has an annotated segment'):
        evaluate(videos, detections_file=tmp_path / 'd.json')
    assert read_detections(tmp_path / 'd.json') == tables(videos)[1]


def test_without_classes_only_recall_is_reported(tmp_path, warnings):
    videos = make_videos(20, labelled=False)
    figures = evaluate(videos, detections_file=tmp_path / 'p.json')
    truth, proposals = tables(videos)
    assert list(figures) == ['TAL/AR@1', 'TAL/AR@5', 'TAL/AR@10', 'TAL/AR@100', 'TAL/auc']
    assert figures['TAL/auc'] == average_recall(truth, proposals).auc
    (message,) = warnings()
    assert (
        "no label, so only AR can be computed. Give a classifier: dict(type='ScoreFile'" in message
    )
    assert read_detections(tmp_path / 'p.json', require_labels=False) == proposals


def test_recall_alone_needs_no_classes_and_no_warning(warnings):
    assert 'TAL/AR@1' in evaluate(make_videos(20, labelled=False), metrics=('AR',))
    assert warnings() == []


@pytest.mark.parametrize('metrics', ['mAP', ('Recall@kx', 'mAP')])
def test_without_classes_and_without_recall_there_is_nothing(metrics):
    with pytest.raises(ValueError, match='only AR can be computed. Give a classifier'):
        evaluate(make_videos(20, labelled=False), metrics=metrics)


def test_a_single_class_needs_no_classifier():
    videos = make_videos(20, labelled=False)
    for item, _ in videos:
        for annotation in item['data_samples'].annotations:
            annotation['label'] = 'run'
    truth, proposals = tables(videos)
    detections = {v: [{**p, 'label': 'run'} for p in x] for v, x in proposals.items()}
    expected = average_precision(truth, detections).average
    assert 0 < expected == evaluate(videos)['TAL/mAP']


def test_score_file_gives_the_classes(tmp_path, warnings):
    videos = make_videos(20, labelled=False)
    truth, proposals = tables(videos)
    scores = {v: {'run': 0.75, 'jump': 0.25, 'fly': 0.125} for v in truth}
    (tmp_path / 'scores.json').write_text(json.dumps(scores))
    figures = evaluate(
        videos, classifier=dict(type='ScoreFile', top_k=3, path=str(tmp_path / 'scores.json'))
    )
    detections = {
        v: [
            {**p, 'label': label, 'score': p['score'] * scores[v][label]}
            for p in x
            for label in LABELS
        ]
        for v, x in proposals.items()
    }
    assert figures['TAL/mAP'] == average_precision(truth, detections).average > 0
    # Recall is that of the proposals, not of the three times as many detections.
    assert figures['TAL/auc'] == average_recall(truth, proposals).auc
    number = sum(map(len, proposals.values()))
    (message,) = warnings()
    assert message == (
        f'TALMetric: {number} of {3 * number} detections have one of 1 labels without '
        "ground truth, which mAP and Recall@kx ignore: 'fly'"
    )


def test_score_file_needs_no_features(tmp_path):
    videos = make_videos(9, labelled=False)
    (tmp_path / 'scores.json').write_text(json.dumps({v: {'run': 0.5} for v in tables(videos)[0]}))
    classifier = dict(type='ScoreFile', path=str(tmp_path / 'scores.json'))
    expected = evaluate(videos, classifier=classifier)
    for item, _ in videos:
        meta = {key: item['data_samples'].get(key) for key in ('video_name', 'annotations')}
        item['data_samples'] = type(item['data_samples'])(metainfo=meta)
    assert evaluate(videos, classifier=classifier) == expected
    with pytest.raises(ValueError, match="has no 'feature_span'"):
        evaluate(videos, classifier=SpyClassifier())


def test_classes_without_detections_are_a_note(warnings, caplog):
    videos = make_videos(20, labelled=True)
    for _, prediction in videos:
        for proposal in prediction['proposal_list']:
            proposal['label'] = 'run'
    evaluate(videos)
    assert all('classes' not in message for message in warnings())
    assert (
        "TALMetric: 1 of 2 classes have no detections, so their average precision is 0: 'jump'"
        in [record.getMessage() for record in caplog.records]
    )


class SpyClassifier:
    """Records what it is asked; the class is the sign of the mean feature."""

    def __init__(self):
        self.calls = []

    def classify(self, video_name, features, feature_span, proposals):
        self.calls.append((video_name, features, feature_span))
        label = LABELS[int(features.mean() > 0)]
        return [{**p, 'label': label} for p in proposals]


def test_classifier_sees_the_raw_features_of_its_video():
    videos, spy = make_videos(9, labelled=False), SpyClassifier()
    evaluate(videos, batch_size=4, classifier=spy)
    asked = {
        item['data_samples'].video_name: item['inputs'] for item, p in videos if p['proposal_list']
    }
    assert [name for name, _, _ in spy.calls] == list(asked)
    for name, features, span in spy.calls:
        np.testing.assert_array_equal(features, asked[name].float().numpy())
        assert span == (0.0, 20.0)


def test_labels_of_the_predictions_win():
    spy = SpyClassifier()
    videos = make_videos(9, labelled=True)
    assert evaluate(videos, classifier=spy) == evaluate(videos)
    assert spy.calls == []


def test_prefix_and_choice_of_metrics():
    figures = evaluate(
        make_videos(20, labelled=True), metrics=('mAP',), tiou_thresholds=[0.5], prefix='val'
    )
    assert list(figures) == ['val/mAP', 'val/mAP@0.5']


def test_missing_predictions_are_named():
    (item, _), (other, prediction) = make_videos(2, labelled=True)
    batch = {k: [item[k], other[k]] for k in item}
    with pytest.raises(ValueError, match=r"1 of 2 videos .* is 'v_00'.*for \['v_01'\].*size of 1"):
        TALMetric().process(batch, [prediction])


def test_partly_labelled_proposals_are_refused():
    ((item, prediction),) = make_videos(1, labelled=False)
    prediction['proposal_list'] = [
        {'segment': [0, 1], 'score': 1.0},
        {'segment': [0, 1], 'score': 1.0, 'label': 'run'},
    ]
    with pytest.raises(ValueError, match="video 'v_00': 1 of 2 proposals have a label"):
        feed(TALMetric(), [(item, prediction)], 1)


def test_missing_annotations_say_what_to_add():
    ((item, prediction),) = make_videos(1, labelled=True)
    item['data_samples'] = type(item['data_samples'])(metainfo={'video_name': 'v_00'})
    with pytest.raises(ValueError, match="'v_00' has no 'annotations'.*add it to 'meta_keys'"):
        feed(TALMetric(), [(item, prediction)], 1)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            {'metrics': 'map'},
            r"metrics must be some of \('mAP', 'AR', 'Recall@kx'\), got \('map',\)",
        ),
        ({'tiou_thresholds': 'hacs2'}, "'hacs2'"),
        ({'recall_at': (1, 200)}, r'recall_at \(1, 200\) must lie between .* max_proposals = 100'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TALMetric(**arguments)


def test_curve_of_another_length():
    videos = make_videos(9, labelled=True)
    figures = evaluate(videos, recall_at=(7, 11), max_proposals=700)
    curve = average_recall(*tables(videos), max_proposals=700)
    assert figures['TAL/auc'] == curve.auc != average_recall(*tables(videos)).auc
    assert (figures['TAL/AR@7'], figures['TAL/AR@11']) == (curve.at(7), curve.at(11))
