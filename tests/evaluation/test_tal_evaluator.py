"""All figures in the form of the JSON files."""

import json

import pytest

from sola_plugin.evaluation import TALEvaluator, average_precision, average_recall, topk_recall
from tests.reference import THUMOS14_CASES


@pytest.fixture(scope='module', params=THUMOS14_CASES)
def case(request, load_reference):
    return load_reference('map', request.param)[1:]


def test_default_is_the_form_that_others_rely_on(case):
    figures = TALEvaluator()(*case)
    precision, recall = average_precision(*case), average_recall(*case)
    assert json.loads(json.dumps(figures)) == {
        'mAP': {
            'average': precision.average,
            'per_tiou': dict(
                zip(
                    ('0.5', '0.55', '0.6', '0.65', '0.7', '0.75', '0.8', '0.85', '0.9', '0.95'),
                    precision.mAP.tolist(),
                )
            ),
        },
        'AR': {
            'AR@1': recall.at(1),
            'AR@5': recall.at(5),
            'AR@10': recall.at(10),
            'AR@100': recall.at(100),
            'auc': recall.auc,
        },
    }
    assert list(figures) == ['mAP', 'AR']


def test_options_reach_the_functions(case):
    evaluator = TALEvaluator(
        ('Recall@kx', 'mAP', 'AR'), '0.3:0.1:0.5', (2, 20), 20, (3,), per_class=True
    )
    figures = evaluator(*case)
    assert figures['Recall@kx'] == topk_recall(*case, [0.3, 0.4, 0.5], (3,)).to_dict()
    assert figures['AR'] == average_recall(*case, max_proposals=20).to_dict((2, 20))
    assert figures['mAP'] == average_precision(*case, [0.3, 0.4, 0.5]).to_dict(per_class=True)


def test_proposals_only_count_for_recall(case):
    truth, found = case
    half = {video: entries[::2] for video, entries in found.items()}
    figures = TALEvaluator()(truth, found, half)
    assert figures['mAP'] == average_precision(truth, found).to_dict()
    assert (
        figures['AR']
        == average_recall(truth, half).to_dict()
        != average_recall(truth, found).to_dict()
    )


def test_recall_alone_needs_no_labels(case):
    truth, found = case
    bare = {
        video: [{'segment': e['segment'], 'score': e['score']} for e in entries]
        for video, entries in found.items()
    }
    assert not TALEvaluator(('AR',)).needs_labels and TALEvaluator(('Recall@kx',)).needs_labels
    assert TALEvaluator(('AR',))(truth, bare) == {'AR': average_recall(truth, found).to_dict()}


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            {'metrics': ('map',)},
            r"metrics must be some of \('mAP', 'AR', 'Recall@kx'\), got \('map',\)",
        ),
        ({'metrics': ()}, 'metrics must be some of'),
        ({'tiou_thresholds': 'hacs2'}, "'hacs2': expected one of"),
        ({'recall_at': (1, 200)}, r'recall_at \(1, 200\) must lie between .* max_proposals = 100'),
        ({'max_proposals': 0}, 'recall_at .* max_proposals = 0'),
        ({'top_k': (0,)}, 'top_k must be one or more positive whole numbers'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TALEvaluator(**arguments)
