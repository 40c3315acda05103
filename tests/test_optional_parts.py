"""An environment with packages that mmaction2 does not get along with."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import re
import subprocess
import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest

from sola_plugin import _compat
from tests.conftest import TINY_BMN
from tests.forked import run_forked
from tests.processes import environment
from tests.slow import slow_but

MMACTION, MMCV = metadata.version('mmaction2'), importlib.import_module('mmcv').__version__


def is_part(name: str) -> bool:
    """Whether the installed mmaction2 imports a module, though its file may be missing."""
    *folders, last = name.split('.')[1:]
    folder = Path(importlib.import_module('mmaction').__file__).parent.joinpath(*folders)
    return (
        re.search(rf'\b{last}\b', (folder / '__init__.py').read_text(encoding='utf-8')) is not None
    )


#: Files of fake packages → what ``_compat.placeholders`` has to name.
CROWDS = {
    'nothing': ({}, []),
    # As transformers 5: the names that mmaction2 takes are gone.
    'removed names': (
        {
            'transformers/__init__.py': 'class BertTokenizer: pass\n',
            'transformers-5.17.0.dist-info/METADATA': 'Name: transformers\nVersion: 5.17.0\n',
        },
        ['mmaction.models.multimodal'],
    ),
    'broken at import': (
        {
            'transformers/__init__.py': "raise RuntimeError('needs libcuda.so.99')\n",
            'transformers-5.17.0.dist-info/METADATA': 'Name: transformers\nVersion: 5.17.0\n',
        },
        ['mmaction.models.multimodal'],
    ),
    # mmaction2 expects an ImportError only.
    'mmdet for another mmcv': (
        {'mmdet/__init__.py': "raise AssertionError('MMCV==2.1.0 is incompatible')\n"},
        ['mmaction.models.roi_heads', 'mmaction.models.task_modules'],
    ),
    'mmpretrain for another mmcv': (
        {'mmpretrain/__init__.py': "raise AssertionError('MMCV==2.1.0 is incompatible')\n"},
        ['mmaction.models.backbones.mobileone_tsm'],
    ),
    'declared but broken': (
        {
            'einops.py': "raise OSError('einops.so: cannot open shared object file')\n",
        },
        [
            'mmaction.models.backbones.timesformer',
            'mmaction.models.backbones.swin',
            'mmaction.models.common.transformer',
        ],
    ),
}


@pytest.fixture
def run(tmp_path):
    """Run code in an interpreter that finds fake packages first; its exit code and output.

    It is forked from one that has the slow imports done: those that have nothing to do with the
    parts of mmaction2.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(
        ['cv2', 'matplotlib.pyplot', 'mmengine.runner', 'scipy.stats', 'sklearn.linear_model']
    )

    def run_code(files: dict[str, str], code: str) -> tuple[int, list[str]]:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        output = tmp_path / 'output'
        process = context.Process(
            target=run_forked, args=(str(tmp_path), textwrap.dedent(code), str(output))
        )
        process.start()
        process.join()
        return process.exitcode, output.read_text().splitlines()

    return run_code


@pytest.mark.parametrize(
    'crowd',
    slow_but(('nothing', 'removed names', 'declared but broken'), CROWDS),
)
def test_localizers_are_built(run, crowd):
    files, parts = CROWDS[crowd]
    code, output = run(
        files,
        f"""
        import json
        import sola_plugin, mmaction.models, mmaction.datasets, mmaction.evaluation
        from mmaction.registry import DATASETS, METRICS, MODELS
        model = MODELS.build(dict({TINY_BMN!r}, neck=dict(type='SoLa', hidden_channels=4)))
        assert type(model).__module__ == 'sola_plugin.heads.bmn.localizer'
        assert None not in (MODELS.get('TCANet'), DATASETS.get('ActivityNetDataset'))
        assert None not in (METRICS.get('ANetMetric'), MODELS.get('ResNetTSM'))
        from sola_plugin._compat import placeholders
        print(json.dumps(placeholders))
        """,
    )
    assert code == 0, output
    placeholders = json.loads(output[-1])
    for part in filter(is_part, parts):
        assert any(name.startswith(part) for name in placeholders), placeholders
    if crowd == 'nothing':  # what lacks here as well, in an environment with other packages
        for name in ('models', 'datasets', 'evaluation'):
            importlib.import_module(f'mmaction.{name}')
        assert set(placeholders) == set(_compat.placeholders)


def test_what_is_taken_from_a_placeholder_says_why(run):
    code, output = run(
        CROWDS['declared but broken'][0],
        """
        import sola_plugin, mmaction.models
        from mmaction.registry import MODELS
        from mmaction.models.backbones.timesformer import TimeSformer
        for build in (TimeSformer, mmaction.models.TimeSformer,
                      lambda: MODELS.build(dict(type='TimeSformer'))):
            try:
                build()
            except ImportError as error:
                print(error)
        """,
    )
    assert output[-3:] == 3 * [
        'TimeSformer cannot be used: mmaction.models.backbones.timesformer could not be '
        'imported: OSError: einops.so: cannot open shared object file'
    ], output


def test_data_sets_and_metrics_have_parts_as_well(run):
    code, output = run(
        {},
        """
        import sola_plugin, scipy.stats
        del scipy.stats.mode
        import mmaction.datasets
        from mmaction.registry import TRANSFORMS
        print(TRANSFORMS.get('LoadFeatures').__name__)
        mmaction.datasets.transforms.GeneratePoseTarget()
        """,
    )
    assert 'LoadFeatures' in output and output[-1].startswith(
        'ImportError: GeneratePoseTarget cannot be used: '
        'mmaction.datasets.transforms.pose_transforms could not be imported: ImportError: '
        "cannot import name 'mode' from 'scipy.stats'"
    ), output


def test_below_a_placeholder_are_placeholders(run):
    code, output = run(
        CROWDS['mmdet for another mmcv'][0],
        """
        import sola_plugin, mmaction.models
        from mmaction.models.roi_heads.bbox_heads import BBoxHeadAVA
        BBoxHeadAVA()
        """,
    )
    assert re.fullmatch(
        r'ImportError: BBoxHeadAVA cannot be used: mmaction.models.roi_heads.bbox_heads(\.\w+)? '
        'could not be imported: AssertionError: MMCV==2.1.0 is incompatible',
        output[-1],
    )


@pytest.mark.skipif(
    not is_part('mmaction.models.localizers.drn'), reason=f'mmaction2 {MMACTION}: no DRN'
)
def test_the_part_that_the_wheel_lacks():
    import mmaction.models.localizers as localizers

    folder = Path(localizers.__file__).parent / 'drn'
    name = 'mmaction.models.localizers.drn'
    assert folder.is_dir() == (name not in _compat.placeholders)
    if not folder.is_dir():
        with pytest.raises(
            ImportError,
            match='DRN cannot be used: mmaction.models.localizers.drn.drn could not be imported: '
            'the installed mmaction2 lacks it .install mmaction2 from its source',
        ):
            localizers.DRN()


@pytest.mark.parametrize(
    ('files', 'error'),
    [
        # What the localizers stand on.
        ({'mmcv/__init__.py': "raise OSError('no libmmcv')\n"}, 'OSError: no libmmcv'),
        (
            {
                'mmcv/__init__.py': f'__version__ = {MMCV!r}\n',
                'mmcv/cnn.py': "raise OSError('no libmmcv')\n",
                'mmcv/transforms.py': '',
            },
            'OSError: no libmmcv',
        ),
    ],
    ids=['mmcv', 'part of mmcv'],
)
def test_what_is_needed_fails_with_its_own_error(run, files, error):
    code, output = run(files, 'import sola_plugin, mmaction.models')
    assert code == 1 and output[-1] == error


def test_a_fault_of_this_package_is_not_hidden(run):
    code, output = run(
        {},
        """
        import sys, sola_plugin
        sys.modules['sola_plugin.heads.stock'] = None
        import mmaction.models
        """,
    )
    assert code == 1 and 'sola_plugin.heads.stock' in output[-1]


def test_an_import_that_failed_before_the_plugin(run):
    """Another package tried mmaction2, failed, and went on."""
    code, output = run(
        CROWDS['removed names'][0],
        f"""
        import importlib.metadata, sys
        sys.modules['importlib_metadata'] = importlib.metadata
        try:
            import mmaction.models
        except ImportError:
            pass
        import sola_plugin, mmaction.models
        from mmaction.registry import MODELS
        print(MODELS.build({TINY_BMN!r}).__module__)
        """,
    )
    assert output[-1:] == ['sola_plugin.heads.bmn.localizer'], output


@pytest.mark.slow
def test_broken_packages_that_mmengine_looks_for(tmp_path):
    """A fresh interpreter: mmengine looks while it is imported, and when it lists versions."""
    (tmp_path / 'transformers.py').write_text("raise RuntimeError('needs libcuda.so.99')\n")
    # As beside another torch.
    (tmp_path / 'torchvision.py').write_text("raise RuntimeError('no torchvision::nms')\n")
    code = (
        'import sola_plugin, mmengine.optim, sys; print(sorted(sys.modules))\n'
        'from mmengine.utils.dl_utils import collect_env; print(sorted(collect_env()))'
    )
    process = subprocess.run(
        [sys.executable, '-c', code],
        text=True,
        capture_output=True,
        env=environment(tmp_path),
    )
    assert process.returncode == 0, process.stderr
    modules, versions = process.stdout.splitlines()
    assert "'mmengine.optim.optimizer.builder'" in modules
    assert "'PyTorch'" in versions and 'TorchVision' not in versions
