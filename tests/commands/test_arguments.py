"""Lists on command lines, and messages that name options."""

from __future__ import annotations

import argparse
import runpy
import sys

import numpy as np
import pytest
from sola_plugin.evaluation.tiou import resolve_thresholds

from sola_plugin.commands.arguments import ListAction, TextListAction, in_options
from tests.conftest import ROOT
from tests.forked_tools import run_tool

#: Processes are forked.
ON_CPU = True


@pytest.mark.parametrize(
    'words', [['1,2,3'], ['1', '2', '3'], ['1,2', '3'], ['1,', ' 2', ',3'], ['1, 2, 3']], ids=repr
)
def test_commas_and_spaces(words):
    parser = argparse.ArgumentParser()
    parser.add_argument('--list', action=ListAction, type=int)
    assert parser.parse_args(['--list', *words]).list == [1, 2, 3]


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['1,x'], "argument --list: invalid int value: 'x'"),
        (['1', '7'], 'argument --list: invalid choice: 7 (choose from 1, 2)'),
        ([], 'argument --list: expected at least one argument'),
    ],
    ids=['type', 'choice', 'nothing'],
)
def test_wrong_items(words, message, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--list', action=ListAction, type=int, choices=(1, 2))
    with pytest.raises(SystemExit):
        parser.parse_args(['--list', *words])
    assert message in capsys.readouterr().err


def test_a_list_that_is_read_from_a_text():
    parser = argparse.ArgumentParser()
    parser.add_argument('--tiou', action=TextListAction, default='activitynet')
    assert parser.parse_args([]).tiou == 'activitynet'
    for words in (['0.5', '0.75'], ['0.5,0.75']):
        assert resolve_thresholds(parser.parse_args(['--tiou', *words]).tiou).tolist() == [
            0.5,
            0.75,
        ]
    assert parser.parse_args(['--tiou', '0.3:0.7:5']).tiou == '0.3:0.7:5'


#: Tool, what else it needs, and its options that are lists.
LISTS = [
    ('evaluate', ['a', 'b'], {'--subset': 'x y', '--metric': 'mAP AR', '--recall-at': '1 5'}),
    ('evaluate', ['a', 'b'], {'--top-k': '1 2', '--tiou': '0.5 0.75'}),
    ('diagnose', ['a', 'b'], {'--subset': 'x y', '--tiou': '0.5 0.75'}),
    ('convert_annotations', ['a', 'b', '--to', 'csv'], {'--subset': 'x y'}),
    ('convert_annotations', ['a', 'b', '--to', 'csv'], {'--rename-subset': 'a=b c=d'}),
    ('pack_features', ['a', 'b', '--annotations', 'c'], {'--subset': 'x y'}),
    ('check_dataset', ['--annotations', 'c'], {'--subset': 'x y', '--tiou': '0.5 0.75'}),
    ('ablate', ['a.py'], {'--seeds': '0 1'}),
    ('linear_probe', ['a.py'], {'--neck': 'smoothing standardization', '--edges': '0 1.5'}),
    ('prepare_watch', ['a'], {'--encoder-classes': 'ABD ROW'}),
]


@pytest.mark.parametrize(
    ('tool', 'needed', 'lists'), LISTS, ids=[f'{t}{i}' for i, (t, *_) in enumerate(LISTS)]
)
def test_every_list_of_every_tool(tool, needed, lists, monkeypatch):
    parse = runpy.run_path(str(ROOT / f'tools/{tool}.py'))['parse_args']
    parsed = []
    for separator in (',', ' '):
        words = [
            word
            for option, value in lists.items()
            for word in (option, *value.replace(' ', separator).split())
        ]
        monkeypatch.setattr(sys, 'argv', [tool, *needed, *words])
        args = parse()
        args = args[0] if isinstance(args, tuple) else args  # evaluate's has an evaluator with it
        parsed.append({key: value for key, value in vars(args).items() if key != 'thresholds'})
    assert parsed[0] == parsed[1]


@pytest.mark.parametrize(
    ('message', 'expected'),
    [
        ("say layout='TC' or layout='CT' (x)", 'say --layout TC or --layout CT (x)'),
        ('choose one with key=...', 'choose one with --key ...'),
        ('with max_stretch=', 'with --max-stretch'),
        ('(feat_dim=400): correct', '(--feat-dim 400): correct'),
        ('my_layout=3, suffix=.npy', 'my_layout=3, suffix=.npy'),
        ('set feat_dim, or the key', 'set --feat-dim, or the key'),
    ],
)
def test_messages_name_options(message, expected):
    options = dict(
        layout='--layout', key='--key', max_stretch='--max-stretch', feat_dim='--feat-dim'
    )
    assert in_options(message, options) == expected
    assert in_options(message, {}) == message


@pytest.mark.parametrize('tool', ['pack_features', 'check_dataset'])
def test_tools_name_their_options(tmp_path, tool):
    folder = tmp_path / 'features'
    folder.mkdir()
    for name in 'ab':
        np.save(folder / f'{name}.npy', np.ones((8, 8), np.float32))
    truth = tmp_path / 'truth.json'
    truth.write_text('{"database": {"a": {"duration": 4, "subset": "t", "annotations": []}}}')
    arguments = {
        'pack_features': [folder, tmp_path / 'out'],
        'check_dataset': ['--annotations', truth, '--features', folder],
    }
    result = run_tool(tool, *arguments[tool])
    shown = result.stderr + result.stdout
    assert result.code == 1 and '--layout TC' in shown and 'layout=' not in shown
