"""A disk that takes no more: one line that names the file, and nothing is lost."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import dump

from sola_plugin.commands.tool import data_errors, explain_os_error
from sola_plugin.evaluation.detection_files import write_detections
from sola_plugin.io import atomic_write, naming_file
from sola_plugin.necks import SoLa, save_sola
from tests.conftest import CHANNELS, localization_config, make_dataset
from tests.forked_tools import room, run_tool
from tests.pretraining.test_pretraining import tiny_pretraining

#: Processes are forked.
ON_CPU = True


def write_text(path: Path) -> None:
    with atomic_write(path) as file:
        file.write('x' * 1000)


@pytest.mark.parametrize(
    'write',
    [
        pytest.param(write_text, id='text'),
        pytest.param(
            lambda path: write_detections(
                path, {'v': [dict(segment=[0.0, 1.0], score=0.5, label='a')] * 20}
            ),
            id='detections',
        ),
        pytest.param(lambda path: save_sola(path, SoLa(CHANNELS, 4), {}), id='neck'),
        pytest.param(lambda path: dump([0.0] * 1000, path, file_format='pkl'), id='mmengine'),
    ],
)
def test_the_error_names_the_file_and_the_old_one_stays(tmp_path, write):
    path = tmp_path / 'file.json'
    path.write_text('old')
    with room(100), pytest.raises(OSError) as raised:
        write(path)
    assert raised.value.errno == errno.EFBIG and str(path) in str(raised.value)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_no_file_can_be_made(monkeypatch, tmp_path):
    def mkstemp(**options):
        raise OSError(errno.EROFS, 'Read-only file system', 'temporary name')

    monkeypatch.setattr('tempfile.mkstemp', mkstemp)
    with pytest.raises(OSError, match=r"Read-only file system: '.*/final\.json'"):
        write_text(tmp_path / 'final.json')


@pytest.mark.parametrize(
    ('error', 'name'),
    [
        (OSError(errno.ENOSPC, 'full'), 'folder'),
        (OSError(errno.ENOSPC, 'full', 'file'), 'file'),
        (ConnectionResetError(errno.ECONNRESET, 'reset'), None),
        (OSError('of a library'), None),
    ],
    ids=['without a name', 'with a name', 'connection', 'without a number'],
)
def test_only_errors_of_a_disk_get_a_name(error, name):
    with pytest.raises(type(error)), naming_file('folder'):
        raise error
    assert error.filename == name


def test_advice_for_a_full_disk_only():
    full, missing = OSError(errno.ENOSPC, 'full', 'x'), OSError(errno.ENOENT, 'missing', 'x')
    assert explain_os_error(full, 'make room').endswith("full: 'x'; make room")
    assert explain_os_error(missing, 'make room').endswith("missing: 'x'")
    with pytest.raises(ConnectionResetError), data_errors('make room'):
        raise ConnectionResetError(errno.ECONNRESET, 'reset')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Data, and configs of a training and of a pretraining."""
    folder = tmp_path_factory.mktemp('full')
    root = make_dataset(folder / 'data')
    Config(localization_config(root, folder / 'unused')).dump(folder / 'train.py')
    cfg = tiny_pretraining(root, folder / 'unused')
    cfg.custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)
    cfg.dump(folder / 'pretrain.py')
    return folder


@pytest.mark.parametrize(
    ('size', 'tool', 'config', 'file'),
    [
        (20_000, 'train', 'train.py', '/epoch_1.pth'),
        (4_000, 'pretrain_sola', 'pretrain.py', '.log'),
        (100, 'train', 'train.py', ''),  # the folder of temporary files
    ],
    ids=['checkpoint', 'log', 'config'],
)
def test_training_says_how_to_go_on(folder, tmp_path, size, tool, config, file):
    result = run_tool(tool, folder / config, '--work-dir', tmp_path / 'work', size=size)
    (line,) = result.stderr.splitlines()
    assert result.code == 1 and line.startswith('error: [Errno 27] File too large: ')
    assert line.endswith(f"{file}'; make room, then the same command with --resume goes on")
    assert not list(tmp_path.glob('work/*.pth'))


def test_testing_names_the_file(folder, tmp_path):
    from tests.commands.localizers import save_random

    cfg = Config.fromfile(folder / 'train.py')
    checkpoint = save_random(cfg, tmp_path / 'epoch_1.pth')
    scores = tmp_path / 'scores.json'
    scores.write_text(json.dumps({name: dict(jump=0.75, run=0.25) for name in ('v_04', 'v_05')}))
    arguments = (
        '--work-dir',
        tmp_path / 'work',
        '--scores',
        scores,
        '--dump',
        tmp_path / 'raw.pkl',
    )
    options = ('--cfg-options', 'log_level=ERROR')  # no log
    result = run_tool('test', folder / 'train.py', checkpoint, *arguments, *options, size=2_000)
    last = result.stderr.splitlines()[-1]
    assert result.code == 1 and 'Traceback' not in result.stderr
    assert last.startswith('error: [Errno 27] File too large: ') and str(tmp_path) in last


@pytest.mark.parametrize('tool', ['evaluate', 'diagnose', 'convert_annotations', 'check_dataset'])
def test_tools_name_the_file(folder, tmp_path, tool):
    out = tmp_path / 'out.json'
    truth = folder / 'data/annotations.json'
    found = {
        f'v_{index:02d}': [dict(segment=[0.0, 5.0], score=0.5, label='jump')] for index in (4, 5)
    }
    write_detections(tmp_path / 'found.json', found)
    arguments = {
        'evaluate': [truth, tmp_path / 'found.json', '--subset', 'validation', '--json', out],
        'diagnose': [truth, tmp_path / 'found.json', '--subset', 'validation', '--json', out],
        'convert_annotations': [truth, out, '--to', 'activitynet'],
        'check_dataset': [
            *('--annotations', truth, '--features', folder / 'data/features'),
            *('--layout', 'TC', '--stride', 0.5, '--json', out),
        ],
    }
    result = run_tool(tool, *arguments[tool], size=50)
    (line,) = result.stderr.splitlines()
    assert result.code == 1 and line == f"error: [Errno 27] File too large: '{out}'"
    assert not out.exists()


#: Tools that write features, networks and folders: the arguments, and what the message names.
WRITERS = {
    'folder': (
        *('transform_features', 'sola.pth', 'data/features', 'out', '--layout', 'TC'),
        'out.parts/',
    ),
    'archive': (
        *('transform_features', 'sola.pth', 'data/features', 'out.h5', '--layout', 'TC'),
        'out.h5',
    ),
    'packed': (
        *('transform_features', 'sola.pth', 'data/features', 'out', '--format', 'packed'),
        *('--layout', 'TC', 'out'),
    ),
    'extraction': (
        *('extract_features', 'videos', 'out', '--length', 4),
        *('--encoder', 'brightness_of_full_disks:Brightness', 'out/'),
    ),
    'packing': ('pack_features', 'data/features', 'out', '--layout', 'TC', 'out.partial'),
    'weights': ('convert_checkpoint', 'theirs.pth', 'out.pth', 'out.pth'),
    'example': ('new_dataset', 'out', 'out/'),
    'export': ('export', 'sola.pth', 'out.onnx', 'out.onnx'),
    'detections': (
        *('localize', 'train.py', 'epoch_1.pth', 'data/features/v_04.npy', '--out', 'out'),
        'out/',
    ),
    'pictures': ('plot_tsm', 'train.py', '--sola', 'sola.pth', '--out', 'out', 'out/'),
    'probe': ('linear_probe', 'train.py', '--seeds', 1, '--report', 'out.html', 'out.html'),
    'advice': ('recommend', 'train.py', '--report', 'out.html', 'out.html'),
    'embedded data': ('prepare_watch', 'out', 'out/'),
    'study': ('ablate', 'study.py', '--work-dir', 'out', 'out/'),
}
#: Seconds each: they draw, or train.
SLOW_WRITERS = ('embedded data', 'study', 'pictures', 'probe', 'advice')

#: Of the files that fit: configs are copied before anything is written.
SIZES = dict.fromkeys(('detections', 'pictures', 'probe', 'advice', 'study'), 8000)


@pytest.fixture(scope='module')
def inputs(folder) -> Path:
    """What the tools read, beside the data."""
    from tests.commands.localizers import save_random
    from tests.make_videos import write_video

    neck = SoLa(CHANNELS, 64)
    save_sola(folder / 'sola.pth', neck)
    theirs = {f'module.{key}': value for key, value in neck.state_dict().items()}
    torch.save(dict(state_dict=theirs), folder / 'theirs.pth')
    save_random(Config.fromfile(folder / 'train.py'), folder / 'epoch_1.pth')
    (folder / 'study.py').write_text("head = 'train.py'\nseeds = 1\n")
    (folder / 'videos').mkdir()
    write_video(folder / 'videos/v_1.mp4', [50] * 400, fps=10)
    (folder / 'brightness_of_full_disks.py').write_text(
        'class Brightness:\n'
        '    def __call__(self, snippets):\n'
        '        return snippets[..., 0].flatten(1).float().mean(1, keepdim=True)\n'
    )
    return folder


@pytest.mark.parametrize(
    'what',
    [
        pytest.param(what, marks=pytest.mark.slow) if what in SLOW_WRITERS else what
        for what in WRITERS
    ],
)
def test_writers_name_the_file(inputs, tmp_path, monkeypatch, what):
    """One line; an output that is not whole is not there, and the same command goes on later."""
    tool, *arguments, named = WRITERS[what]
    for path in inputs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(inputs)
    result = run_tool(tool, *arguments, size=SIZES.get(what, 300))
    assert result.code == 1 and 'Traceback' not in result.stderr, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith('error: ') and named in last, last
    assert 'File too large' in last or 'perhaps as the disk is full' in last
    assert not [path for path in tmp_path.rglob('*.tmp') if not path.is_symlink()]
    if what == 'example':  # asks for a new folder
        return
    again = run_tool(tool, *arguments)
    assert again.code == 0, again.stderr
    assert list(tmp_path.glob('out*'))
