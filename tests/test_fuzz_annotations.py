"""Random annotations of every format: read, refused with one line, or written and read the same."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import strategies as st

from sola_plugin.datasets.annotations.conversion import convert_annotations
from sola_plugin.datasets.annotations.formats import (
    FORMATS,
    WRITABLE,
    AnnotationError,
    AnnotationFile,
    Options,
    Video,
    read_annotations,
    write_annotations,
)
from sola_plugin.datasets.annotations.model import check_segments
from sola_plugin.messages import printable
from tests.datasets.test_annotations_of_datasets import CHARADES, CLASSES, DENSE, PERCEPTION
from tests.datasets.test_annotations_of_tools import EAF, SEVERAL, by, seconds, task
from tests.fuzzing import (
    EXAMPLES,
    as_json,
    changed_bytes,
    changed_json,
    changed_text,
    search,
    texts,
)

pytestmark = pytest.mark.parametrize('examples', EXAMPLES)

MINUTE = Options(durations=lambda video_id: 60.0, fps=lambda video_id: 10.0)

ACTIONS = [
    {'segment': [1.5, 4.0], 'label': 'run'},
    {'segment': [2.0, 8.25], 'label': 'jump'},
]
DATABASE = {
    'version': 'x',
    'database': {
        'v_1': {'duration': 9.5, 'subset': 'training', 'annotations': ACTIONS},
        'v_2': {
            'duration': 60,
            'subset': 'validation',
            'fps': 25,
            'frame': 1500,
            'annotations': [],
        },
    },
}
FLAT = {
    'v_1': {
        'duration_second': 9.5,
        'duration_frame': 285,
        'feature_frame': 270,
        'fps': 30.0,
        'annotations': ACTIONS,
    },
}
TREES = dict(
    activitynet=DATABASE,
    opentad=DATABASE,
    hacs=DATABASE,
    mmaction=FLAT,
    perception_test=PERCEPTION,
    label_studio=[task(1, 'a.mp4', by(1, seconds(1, 2, 'run'), seconds(3, 4, 'jump')))],
)
CSV = (
    'video,start,end,label,duration,subset,fps\n'
    'v_1,1.5,4,run,9.5,a,30\n'
    'v_1,2,8.25,"j, k",9.5,a,30\n'
)
EPIC = (
    'narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,'
    'start_frame,stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n'
    'P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,open door,open,3,door,3,'
    "['door'],[3]\n"
)
ELAN_TEXT = 'actions\t\t00:00:01.000\t00:00:02.500\tpour\nactions\t\t00:00:03.000\t00:00:04\tcut\n'
TABLES = dict(
    csv=('x.csv', CSV, ','),
    thumos14=('run_test.txt', 'v_1 1.5 4.0\nv_2  2.0 8.25\n', ' '),
    epic=('EPIC_100_train.csv', EPIC, ','),
    charades=('Charades_v1_train.csv', CHARADES, ','),
    frame_labels=('v.txt', DENSE, ' \n'),
    elan=('k.eaf', SEVERAL, '"<> '),
    elan_text=('k.txt', ELAN_TEXT, '\t'),
)


def check_read(paths: list[Path], name: str | None) -> AnnotationFile | None:
    """What is read is as it has to be; what is not is said in words that name the file."""
    options = (
        MINUTE
        if name is None or FORMATS[name].own_unit or name in ('thumos14', 'epic')
        else (Options(durations=MINUTE.durations))
    )
    try:
        content = read_annotations(paths, name, options)
    except AnnotationError as error:
        assert 10 < len(str(error)) < 2500
        assert str(paths[0]) in str(error) or 'video' in str(error) or 'Expected' in str(error)
        return None
    assert all(isinstance(text, str) and text for text in (*content.faults, *content.notes))
    for video_id, video in content.videos.items():
        assert isinstance(video_id, str)
        assert math.isfinite(video.duration) and video.duration > 0
        assert video.subset is None or isinstance(video.subset, str)
        for number in (video.fps, video.num_frames):
            assert number is None or math.isfinite(number) and number > 0
        for action in video.annotations:
            assert isinstance(action['label'], str)
            assert len(action['segment']) == 2 and all(map(math.isfinite, action['segment']))
        labels = sorted({action['label'] for action in video.annotations})
        try:
            clean, _ = check_segments({video_id: video}, labels)
        except AnnotationError:  # all times are in another unit, or turned round
            continue
        for action in clean[video_id].annotations:
            start, end = action['segment']
            assert 0 <= start < end <= video.duration
    return content


def check_again(folder: Path, content: AnnotationFile) -> None:
    """Written in our own form and read again, it is the same."""
    out = folder / 'again.json'
    out.unlink(missing_ok=True)
    write_annotations(out, content.videos, 'opentad')
    again = read_annotations([out], 'opentad')
    assert again.faults == () and again.videos.keys() == content.videos.keys()
    for video_id, video in content.videos.items():
        other = again.videos[video_id]
        assert (other.duration, other.annotations) == (video.duration, video.annotations)


@pytest.mark.parametrize('name', TREES)
def test_trees(tmp_path, name, examples):
    path = tmp_path / 'a.json'

    def check(content):
        path.write_bytes(as_json(content))
        for form in (name, None):
            read = check_read([path], form)
            if read is not None and not read.faults and read.videos:
                check_again(tmp_path, read)

    search(changed_json(TREES[name]), check, examples)


@pytest.mark.parametrize('name', TABLES)
def test_tables(tmp_path, name, examples):
    file, text, separators = TABLES[name]
    (tmp_path / 'Charades_v1_classes.txt').write_text(CLASSES)
    path = tmp_path / file
    form = name.removesuffix('_text')

    def check(changed):
        path.write_bytes(changed.encode('utf-8', 'surrogatepass'))
        for chosen in (form, None):
            read = check_read([path], chosen)
            if read is not None and not read.faults and read.videos:
                check_again(tmp_path, read)

    search(changed_text(text, separators), check, examples)


@pytest.mark.parametrize('name', ['opentad', 'csv', 'elan', 'frame_labels'])
def test_bytes(tmp_path, name, examples):
    data = dict(
        opentad=as_json(DATABASE),
        csv=CSV.encode('utf-16'),
        elan=EAF.encode(),
        frame_labels=DENSE.encode(),
    )[name]
    path = tmp_path / dict(opentad='a.json', csv='a.csv', elan='a.eaf', frame_labels='a.txt')[name]

    def check(changed):
        path.write_bytes(changed)
        check_read([path], name)
        check_read([path], None)

    search(changed_bytes(data), check, examples)


def videos_of(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Video]]:
    """Videos with any ids and labels, and actions inside."""

    @st.composite
    def video(draw: st.DrawFn) -> Video:
        duration = draw(st.floats(1, 1e5))
        cuts = draw(st.lists(st.floats(0, 1), min_size=2, max_size=4, unique=True).map(sorted))
        times = [duration * cut for cut in cuts]
        actions = [
            dict(segment=[start, end], label=draw(names))
            for start, end in zip(times, times[1:])
            if start < end
        ]
        return Video(duration, draw(st.sampled_from(('train', 'x y'))), tuple(actions), None, 25.0)

    return st.dictionaries(names, video(), min_size=1, max_size=3)


#: Here a lone surrogate is written as JSON has it; elsewhere as its escape, for good.
JSON_FORMS = ('activitynet', 'opentad', 'hacs', 'mmaction')


def written_out(value):
    """A tree of lists and dicts whose texts can all be encoded."""
    if isinstance(value, str):
        return value.encode('utf-8', 'backslashreplace').decode()
    if isinstance(value, dict):
        return {written_out(key): written_out(part) for key, part in value.items()}
    return list(map(written_out, value)) if isinstance(value, list) else value


@pytest.mark.parametrize('form', WRITABLE)
def test_written_and_read(tmp_path, form, examples):
    """The same comes back, or nothing is written and one line says why; nothing lies elsewhere."""
    options = Options(
        labels='verb', durations=lambda video_id: 60.0 if form == 'epic' else known.get(video_id)
    )
    known: dict[str, float] = {}
    number = 0

    def check(videos):
        nonlocal number
        number += 1
        known.clear()
        for video_id, video in videos.items():
            known[video_id] = known[written_out(video_id)] = video.duration
        folder = tmp_path / str(number)
        folder.mkdir()
        out = folder / 'out'
        try:
            write_annotations(out, videos, form, options)
        except AnnotationError as error:
            assert len(str(error)) > 10 and not list(folder.iterdir())
            return
        assert list(folder.iterdir()) == [out]
        files = [out]
        if form == 'epic':
            files = [
                out / f'EPIC_100_{name}.csv' for name in {each.subset for each in videos.values()}
            ]
        read = read_annotations(files, form, options)
        assert read.faults == ()
        expected = {
            video_id: sorted(video.annotations, key=str)
            for video_id, video in videos.items()
            if video.annotations or 'empty' in FORMATS[form].holds
        }
        if not form.startswith(JSON_FORMS):
            expected = written_out(expected)
        found = {key: sorted(video.annotations, key=str) for key, video in read.videos.items()}
        assert found == expected
        assert {path.name for path in tmp_path.iterdir()} <= set(map(str, range(1, number + 1)))

    search(videos_of(texts), check, examples)


def test_converted(tmp_path, examples, run_script):
    """The tool ends with what it wrote or with one line, and leaves no other file."""
    path = tmp_path / 'in.json'

    def check(content):
        path.write_bytes(as_json(content))
        result = run_script(
            'tools/convert_annotations.py', path, tmp_path / 'out.csv', '--to', 'csv', '--force'
        )
        lines = result.stderr.splitlines()
        if result.returncode:
            assert result.returncode == 1 and lines[-1].startswith('error: ')
        assert all(line == printable(line) for line in lines)
        assert {each.name for each in tmp_path.iterdir()} <= {'in.json', 'out.csv'}

    search(changed_json(DATABASE), check, min(examples, 100))


def test_the_conversion_keeps_or_says(tmp_path, examples):
    """What is converted without a word is the same; otherwise there is a note or an error."""
    path, out = tmp_path / 'in.json', tmp_path / 'out.json'

    def check(content):
        path.write_bytes(as_json(content))
        try:
            done = convert_annotations([path], out, 'activitynet', force=True)
        except AnnotationError:
            return
        read = read_annotations([out])
        for video_id, video in done.videos.items():
            assert read.videos[video_id].annotations == video.annotations

    search(changed_json(DATABASE), check, examples)
