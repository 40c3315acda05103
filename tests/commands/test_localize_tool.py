"""``tools/localize.py``: feature files and videos in, four files for each out."""

from __future__ import annotations

import csv
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.evaluation.detection_files import read_detections
from tests.commands.localizers import NAMES, feature_file, in_order
from tests.conftest import CHANNELS, ROOT
from tests.make_videos import write_video

#: Compared to the bit.
ON_CPU = True


@pytest.fixture
def tool(monkeypatch, capsys):
    """Runs ``tools/localize.py`` in this process; gives exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['localize.py', *map(str, arguments)])
        code = 0
        try:
            runpy.run_path(str(ROOT / 'tools/localize.py'), run_name='__main__')
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def command(bmn) -> list[object]:
    return [bmn / 'config.py', bmn / 'work/epoch_2.pth']


def test_tool_writes_four_files_for_each_video(tool, command, bmn, tmp_path):
    code, out, _ = tool(*command, bmn / 'data/features', '--out', tmp_path)
    assert code == 0 and f'{tmp_path}: .json, .csv, .srt and .html of 6 videos' in out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f'v_{index:02d}{suffix}'
        for index in range(6)
        for suffix in ('.json', '.csv', '.srt', '.html')
    )
    expected = read_detections(bmn / 'work/detections.json')
    for name in NAMES:
        found = read_detections(tmp_path / f'{name}.json')
        assert list(found) == [name] and in_order(found[name]) == in_order(expected[name])
        with open(tmp_path / f'{name}.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.DictReader(file))
        assert {row['video'] for row in rows} == {name}
        assert in_order(
            dict(
                segment=[float(row['start']), float(row['end'])],
                label=row['label'],
                score=float(row['score']),
            )
            for row in rows
        ) == in_order(expected[name])
        page = (tmp_path / f'{name}.html').read_text(encoding='utf-8')
        assert (
            f'<h1>{name}</h1>' in page
            and '40 detections of BMN in 0:' in page
            and '<video' not in page
        )


def test_tool_skips_what_it_cannot_read(tool, command, bmn, tmp_path):
    bad = tmp_path / 'features'
    bad.mkdir()
    (bad / 'v_torn.npy').write_bytes(feature_file(bmn).read_bytes()[:300])
    np.save(bad / 'v_other.npy', np.zeros((20, 5), np.float32))
    np.save(bad / 'v_nan.npy', np.full((20, CHANNELS), np.nan, np.float32))
    out = tmp_path / 'out'
    code, shown, errors = tool(
        *command,
        bad / 'v_torn.npy',
        bad / 'v_other.npy',
        feature_file(bmn),
        bad / 'v_nan.npy',
        bad / 'v_gone.npy',
        tmp_path / 'nowhere',
        '--out',
        out,
    )
    assert code == 3 and 'of 1 videos' in shown
    written = sorted(path.name for path in out.iterdir())
    assert written == [f'v_04.{end}' for end in ('csv', 'html', 'json', 'srt')]
    for message in (
        "'v_torn' .*may be truncated",
        "'v_other' .*5",
        "'v_nan' .*NaN or Inf in 20 of 20",
        'v_gone.npy does not exist',
        'nowhere does not exist',
    ):
        assert (
            len(
                [
                    line
                    for line in errors.splitlines()
                    if line.startswith('skipped ') and re.search(message, line)
                ]
            )
            == 1
        ), message


def test_an_id_that_no_file_can_have_is_skipped(tool, command, bmn, tmp_path):
    features = np.load(feature_file(bmn))
    longest = 'x' * 250  # with .json the longest name, 255 bytes
    ids = ('a/b', 'v' * 240 + 'ä' * 10, longest)
    np.savez(tmp_path / 'features.npz', **dict.fromkeys(ids, features))
    out = tmp_path / 'out'
    code, shown, errors = tool(*command, tmp_path / 'features.npz', '--out', out)
    assert code == 3 and 'of 2 videos' in shown
    (line,) = errors.splitlines()
    assert re.match("skipped 'v.*no file in .*out can have this name with .json behind it", line)
    assert sorted(path.stem for path in out.iterdir()) == ['a_b'] * 4 + [longest] * 4


def test_tool_chooses(tool, command, bmn, tmp_path):
    options = ['--top-k', 7, '--classes', 'jump', '--threshold', 1e-6]
    assert tool(*command, feature_file(bmn), '--out', tmp_path, *options)[0] == 0
    found = read_detections(tmp_path / 'v_04.json')['v_04']
    expected = [
        d for d in read_detections(bmn / 'work/detections.json')['v_04'] if d['label'] == 'jump'
    ]
    assert [d['score'] for d in found] == sorted((d['score'] for d in expected), reverse=True)[:7]


def test_tool_with_scores_and_prefix(tool, command, bmn, tmp_path):
    (tmp_path / 'scores.json').write_text(json.dumps({'04': dict(swim=0.5)}))
    out = tmp_path / 'out'
    assert (
        tool(
            *command,
            feature_file(bmn),
            '--out',
            out,
            '--scores',
            tmp_path / 'scores.json',
            '--file-prefix',
            'v_',
        )[0]
        == 0
    )
    assert {d['label'] for d in read_detections(out / '04.json')['04']} == {'swim'}


def test_tool_without_labels_says_so(tool, command, bmn, tmp_path):
    missing = f'train_dataloader.dataset.data_root={tmp_path}/gone'
    code, _, errors = tool(*command, feature_file(bmn), '--out', tmp_path, '--cfg-options', missing)
    assert code == 0 and 'note: proposals get no labels, as nothing tells their classes (' in errors
    found = read_detections(tmp_path / 'v_04.json', require_labels=False)['v_04']
    assert len(found) == 20 and 'label' not in found[0]
    assert (tmp_path / 'v_04.csv').read_text().splitlines()[1].split(',')[3] == ''
    assert '\naction (0.' in (tmp_path / 'v_04.srt').read_text()
    assert '<span class="name">action</span>' in (tmp_path / 'v_04.html').read_text()
    stored = bmn / 'work/classifier.npz'
    code, _, errors = tool(
        *command,
        feature_file(bmn),
        '--out',
        tmp_path,
        '--classifier',
        stored,
        '--cfg-options',
        missing,
    )
    assert (code, errors) == (0, '') and len(read_detections(tmp_path / 'v_04.json')['v_04']) == 40


def test_tool_on_an_archive(tool, command, bmn, tmp_path):
    np.savez(
        tmp_path / 'all.npz', **{f'{name}': np.load(feature_file(bmn, name)) for name in NAMES}
    )
    assert tool(*command, tmp_path / 'all.npz', '--out', tmp_path / 'out')[0] == 0
    expected = read_detections(bmn / 'work/detections.json')
    for name in NAMES:
        assert in_order(read_detections(tmp_path / f'out/{name}.json')[name]) == in_order(
            expected[name]
        )


def test_tool_options_of_reading(tool, command, bmn, tmp_path):
    np.savez(tmp_path / 'v.npz', rgb=np.load(feature_file(bmn)).T, flow=np.zeros(3))
    options = [
        '--key',
        'rgb',
        '--layout',
        'CT',
        '--feature-stride',
        '1/8',
        '--feature-offset',
        '0.5',
    ]
    assert tool(*command, tmp_path / 'v.npz', '--out', tmp_path, *options)[0] == 0
    found = read_detections(tmp_path / 'v.json')['v']
    expected = read_detections(bmn / 'work/detections.json')['v_04']
    np.testing.assert_allclose(
        sorted(d['segment'][0] for d in found), sorted(0.5 + d['segment'][0] / 4 for d in expected)
    )


@pytest.fixture
def video(tmp_path, monkeypatch) -> Path:
    """A video of 6 s that is bright from 2 s to 4 s, and an encoder module in the working
    directory."""
    monkeypatch.chdir(tmp_path)
    Path('encoder_of_localize.py').write_text(
        'def brightness():\n'
        '    return lambda x: x[..., 0].flatten(1).float().mean(1, keepdim=True).repeat(1, 16)\n'
    )
    Path('own videos').mkdir()
    return write_video(Path('own videos/a b.mp4'), [20] * 20 + [220] * 20 + [20] * 20, fps=10)


def test_tool_on_a_video(tool, bmn, actionformer, video, tmp_path):
    encoder = [
        '--encoder',
        'encoder_of_localize:brightness',
        '--length',
        2,
        '--stride',
        1,
        '--device',
        'cpu',
    ]
    code, out, errors = tool(*actionformer, video, 'nothing.mp4', '--out', 'found', *encoder)
    assert code == 3 and 'a b: 20 detections' in out and 'skipped nothing.mp4' in errors
    assert 'feature_stride' not in out + errors  # what the encoder says of time is right
    page = Path('found/a b.html').read_text(encoding='utf-8')
    assert (
        '<video src="../own%20videos/a%20b.mp4" controls' in page and 'data-duration="6.0"' in page
    )
    segments = np.array([d['segment'] for d in read_detections('found/a b.json')['a b']])
    assert segments.min() >= 0 and 4 < segments.max() <= 6


def test_tool_compares_the_encoder_with_that_of_the_training(tool, actionformer, bmn, video):
    options = [
        '--encoder',
        'encoder_of_localize:brightness',
        '--length',
        2,
        '--stride',
        1,
        '--device',
        'cpu',
    ]
    used = dict(weights_sha256=None, frames=None, snippet_length=2, snippet_stride=4, fps=30)
    Path('trained').mkdir()
    Path('trained/features.json').write_text(json.dumps(used))
    folder = [
        '--cfg-options',
        'test_dataloader.dataset.data_root=trained',
        'test_dataloader.dataset.data_prefix.features=',
    ]
    code, _, errors = tool(*actionformer, video, '--out', 'found', *options, *folder)
    assert code == 0 and errors == (
        'note: trained/: the training had other features: '
        'snippet_stride 4, now 1; fps 30, now None\n'
    )
    Path('trained/features.json').write_text(json.dumps(dict(used, snippet_stride=1, fps=None)))
    assert tool(*actionformer, video, '--out', 'found', *options, *folder)[2] == ''


def test_tool_shows_the_videos_of_features(tool, command, bmn, tmp_path):
    (tmp_path / 'videos').mkdir()
    write_video(tmp_path / 'videos/v_04.avi', [20] * 5)
    assert (
        tool(
            *command,
            feature_file(bmn),
            feature_file(bmn, 'v_05'),
            '--out',
            tmp_path / 'out',
            '--videos',
            tmp_path / 'videos',
        )[0]
        == 0
    )
    assert '<video src="../videos/v_04.avi"' in (tmp_path / 'out/v_04.html').read_text()
    assert '<video' not in (tmp_path / 'out/v_05.html').read_text()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--top-k', 0], 'error: --top-k is 0, expected at least 1'),
        (
            ['--classes', 'run', 'fly'],
            r"error: --classes: \['fly'\] are none of the classes \['jump', 'run'\]",
        ),
        (['--classifier', 'gone.npz'], 'error: classifier gone.npz does not exist'),
        (['--scores', 'gone.json'], 'error: .*gone.json'),
        (
            ['--cfg-options', 'model.feat_dim=8'],
            'error: the checkpoint .* does not fit the model of the config',
        ),
        (
            ['same/v_04.npy'],
            "error: 2 inputs have the name 'v_04', so that their files would overwrite",
        ),
        (['clip.MP4'], 'error: clip.MP4 is a video: say what encodes it'),
    ],
)
def test_tool_refuses(tool, command, bmn, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'same').mkdir()
    (tmp_path / 'same/v_04.npy').write_bytes(feature_file(bmn).read_bytes())
    code, _, errors = tool(*command, feature_file(bmn), *arguments, '--out', 'out')
    assert code == 1 and re.search(message, errors) and 'Traceback' not in errors
    assert not (tmp_path / 'out').exists()


def test_missing_stride_is_said_for_each_video(tool, command, bmn, tmp_path):
    options = ['--cfg-options', 'test_dataloader.dataset.feature_stride=None']
    code, _, errors = tool(*command, feature_file(bmn), '--out', tmp_path / 'out', *options)
    assert (
        code == 3
        and 'skipped v_04: features have no time of their own: give --feature-stride' in errors
    )


@pytest.mark.parametrize('given', ['the folder', 'a file'])
def test_output_among_the_features_is_refused(tool, command, bmn, given):
    features = bmn / 'data/features'
    before = sorted(features.iterdir())
    path = features if given == 'the folder' else feature_file(bmn)
    code, _, errors = tool(*command, path, '--out', bmn / 'data' / '.' / 'features')
    assert code == 1 and 'is the folder of the features: the .csv and .json' in errors
    assert sorted(features.iterdir()) == before


def test_last_checkpoint(tool, command, bmn, tmp_path):
    """mmengine's file with the name of the newest, also of a work dir that was moved."""
    moved = tmp_path / 'moved'
    moved.mkdir()
    (moved / 'epoch_2.pth').write_bytes((bmn / 'work/epoch_2.pth').read_bytes())
    (moved / 'last_checkpoint').write_text('/gone/work/epoch_2.pth\n')
    for path in (bmn / 'work/last_checkpoint', moved / 'last_checkpoint'):
        code, out, _ = tool(command[0], path, feature_file(bmn), '--out', tmp_path / 'out')
        assert code == 0 and 'v_04: 40 detections' in out


def test_scores_that_are_logits(tool, command, bmn, tmp_path):
    """They need a transform, and take one."""
    scores = tmp_path / 'scores.json'
    scores.write_text(json.dumps({name: dict(jump=4.0, run=-4.0) for name in NAMES}))
    features = feature_file(bmn, NAMES[0])
    code, _, error = tool(*command, features, '--out', tmp_path / 'a', '--scores', scores)
    assert code == 1 and '--score-transform sigmoid' in error
    code, _, error = tool(
        *command,
        features,
        '--out',
        tmp_path / 'b',
        '--scores',
        scores,
        '--score-transform',
        'softmax',
    )
    assert code == 0, error
    found = read_detections(tmp_path / f'b/{NAMES[0]}.json')[NAMES[0]]
    assert found[0]['label'] == 'jump' and 0 < found[0]['score'] <= 1
