"""Every command and file of docs/tutorial.md, as the page has them, on tiny made videos.

Replaced are only what the page says: its numbers of epochs and, as the made videos show other
actions, the labels. The folder of the project is a temporary one with links to ``tools`` and
``configs``.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sola_plugin.evaluation.detection_files import read_detections
from tests.conftest import ROOT
from tests.make_videos import write_video
from tests.processes import environment

#: The commands are forked.
ON_CPU = True

PAGE = (ROOT / 'docs/tutorial.md').read_text(encoding='utf-8')
#: What this test replaces, and the page says so.
SUBSTITUTIONS = {
    'epochs = 60': 'epochs = 20',
    'matching_epochs = 150': 'matching_epochs = 5',
    'epoch_60.pth': 'epoch_20.pth',
    "['jump', 'wave']": "['dark', 'light']",
}
FPS = 8
#: Brightness of the made actions, on a background of 110.
LEVELS = {'light': 230, 'dark': 20}


def blocks(language: str) -> list[str]:
    """The code blocks of the page in a language, with the substitutions."""
    found = re.findall(rf'```{language}\n(.*?)```', PAGE, re.S)
    for old, new in SUBSTITUTIONS.items():
        found = [block.replace(old, new) for block in found]
    return found


def make_video(path: Path, seed: int) -> list[tuple[float, float, str]]:
    """Write a video of 7 s in which it is light for a while and dark for a while; returns the
    actions."""
    rng = np.random.default_rng(seed)
    levels = rng.normal(110, 5, 7 * FPS)
    actions = []
    for start, label in zip((1, 4), rng.permutation(list(LEVELS))):
        first, last = start * FPS + rng.integers(0, FPS), (start + 2) * FPS + rng.integers(0, FPS)
        levels[first:last] += LEVELS[label] - 110
        actions.append((first / FPS, last / FPS, str(label)))
    write_video(path, levels, fps=FPS)
    return actions


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Path:
    """A project folder in the state in which the page begins: 6 videos and their table, and a new
    video."""
    folder = tmp_path_factory.mktemp('project')
    for name in ('tools', 'configs'):
        (folder / name).symlink_to(ROOT / name)
    (folder / 'data/mine/videos').mkdir(parents=True)
    (header,) = (block.splitlines()[0] for block in blocks('csv'))
    lines = [header]
    for index in range(6):
        subset = 'training' if index < 4 else 'validation'
        for start, end, label in make_video(folder / f'data/mine/videos/clip_{index}.mp4', index):
            lines.append(f'clip_{index},{start},{end},{label},{subset}')
    (folder / 'data/mine/actions.csv').write_text('\n'.join(lines) + '\n')
    make_video(folder / 'new_video.mp4', 8)
    (config,) = blocks('python')
    (folder / re.match('# (.*)\n', config).group(1)).write_text(config)
    return folder


@pytest.fixture(scope='module')
def printed(project) -> str:
    """What the commands of the page print, run in its order up to the first that fails."""
    # The shell takes the page apart; what it would run as `python` is then run, process by process.
    shell = ['python() { printf "%s\\n" "$@"; echo; }', *blocks('bash')]
    commands = subprocess.run(
        ['bash', '-e'],
        input='\n'.join(shell),
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    done = subprocess.run(
        [sys.executable, ROOT / 'tests/run_commands.py'],
        input=commands,
        cwd=project,
        # Python 3.12 warns of any fork beside a thread.
        env=environment(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert 'note: ' not in done.stderr  # the new video is encoded as the others
    return done.stdout


def test_the_page_has_all_the_steps():
    commands = re.findall(r'^python tools/(\w+)\.py', '\n'.join(blocks('bash')), re.M)
    assert commands == [
        'extract_features',
        'convert_annotations',
        'check_dataset',
        'train',
        'test',
        'diagnose',
        'localize',
    ]
    for old in SUBSTITUTIONS:
        assert old in PAGE


@pytest.mark.slow
def test_the_commands_print_what_the_page_shows(printed):
    for block in blocks('text'):
        for line in block.splitlines():
            assert line in printed
    assert 'errors: 0\nwarnings: 0\n' in printed
    assert re.search(r'TAL/mAP@0.5 │ \d', printed)
    assert 'segments not found' in printed


@pytest.mark.slow
def test_the_figures_are_written(project, printed):
    work = project / 'work_dirs/my_actionformer'
    figures = json.loads((work / 'metrics.json').read_text())
    assert (
        figures['mAP']['per_tiou']['0.5'] > 0.5
    )  # light and dark are easy; a fault would give about 0
    assert set(read_detections(work / 'detections.json')) == {'clip_4', 'clip_5'}
    assert (work / 'sola/sola.pth').is_file() and 'double detection' in (
        work / 'why.html'
    ).read_text()


@pytest.mark.slow
def test_the_new_video_is_localized(project, printed):
    found = project / 'found'
    assert sorted(path.name for path in found.iterdir()) == [
        f'new_video{end}' for end in ('.csv', '.html', '.json', '.srt')
    ]
    best = {}
    for detection in read_detections(found / 'new_video.json')['new_video']:
        best.setdefault(detection['label'], detection['segment'])
    for start, end, label in make_video(project / 'again.mp4', 8):
        shared = min(end, best[label][1]) - max(start, best[label][0])
        assert shared > 0.5 * max(end - start, best[label][1] - best[label][0])
    with open(found / 'new_video.csv', newline='', encoding='utf-8') as file:
        assert {row['label'] for row in csv.DictReader(file)} == set(LEVELS)
    assert '\n00:00:0' in (found / 'new_video.srt').read_text()
    assert '<video src="../new_video.mp4"' in (found / 'new_video.html').read_text()
