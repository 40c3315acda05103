"""Stages of a study, each done once: data, label-free training, head."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from sola_plugin import __version__
from sola_plugin.commands.cli import move_data
from sola_plugin.commands.probing.methods import probe_localizer
from sola_plugin.commands.testing import test_localizer
from sola_plugin.commands.training import train_localizer
from sola_plugin.datasets.watch.data import VALIDATION, WatchSettings, prepare_watch
from sola_plugin.io import atomic_write
from sola_plugin.pretraining.run import pretrain
from sola_plugin.pretraining.run_instances import forget_runs
from sola_plugin.temporary_files import remove_abandoned

from .study import Condition


def finished_stage(folder: Path) -> dict | None:
    """What a stage gave; ``None`` if it is not done.

    Args:
        folder: Folder of the stage.
    """
    done = folder / 'stage.json'
    return json.loads(done.read_text(encoding='utf-8')) if done.is_file() else None


def run_stage(folder: Path, settings: str, work: Callable[[], dict]) -> dict:
    """Do a stage, or return what it gave when it was done with the same settings.

    Args:
        folder: Folder of the stage. What an earlier attempt with the same settings left there is
            kept, so that ``work`` can resume; with other settings it is removed.
        settings: Text that tells everything the result depends on.
        work: Does the stage and returns plain values.

    Returns:
        What ``work`` returned, ``seconds``, the wall time of the attempt that ended it, and
        ``code``, the :func:`code_version` that did.
    """
    done, begun = folder / 'stage.json', folder / 'settings.txt'
    if begun.is_file() and begun.read_text(encoding='utf-8') != settings:
        done.unlink(missing_ok=True)  # first: a kill may come before the rest is gone
        shutil.rmtree(folder)
    if (result := finished_stage(folder)) is not None:
        return result
    remove_abandoned(folder)
    with atomic_write(begun) as file:
        file.write(settings)
    start = time.perf_counter()
    result = dict(work(), seconds=time.perf_counter() - start, code=code_version())
    with atomic_write(done) as file:
        json.dump(result, file)
    return result


@functools.cache
def code_version() -> str:
    """Commit of the code and the configs, with ``+`` if they were changed since.

    Outside of the project's git repository it is the version of the package.
    """
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ['git', *arguments], cwd=root, check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        if Path(git('rev-parse', '--show-toplevel')).resolve() == root:
            changed = git('status', '--porcelain', '--', 'sola_plugin', 'configs')
            return git('rev-parse', '--short=7', 'HEAD') + ('+' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or no repository
    return __version__


#: Of the figures of a test, those that are kept, where the evaluator gives them.
FIGURES = ('mAP', 'mAP@0.5', 'AR@10', 'AR@100')


@dataclass(frozen=True)
class Stage:
    """A piece of work that is done once, however many cells need its result.

    Attributes:
        kind: ``'data'``, ``'pretrain'`` or ``'head'``.
        folder: Where it is done; its name tells everything that the result depends on.
        settings: The same as text.
        work: Does it.
        config: Of the run that it is; ``None``: it is none.
    """

    kind: str
    folder: Path
    settings: str
    work: Callable[[], dict]
    config: Config | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """Kind, and a digest of the settings."""
        return self.folder.name

    def run(self) -> dict:
        """Do the stage unless it is done; return its plain result and ``seconds``."""
        with forget_runs():
            return run_stage(self.folder, self.settings, self.work)


def cell_stages(cell: Condition, seed: int, work_dir: Path) -> list[Stage]:
    """The stages of one cell and seed, each after those that it needs; the last one is the head.

    Args:
        cell: The experiment, on one fold if it has some: one of :meth:`~.study.Condition.runs`.
        seed: Of data, label-free training and head.
        work_dir: Folder of the study.

    Returns:
        One to three stages. The head's result holds :data:`FIGURES`, ``probe``, ``probe_balanced``
        and ``probe_AP`` (fractions), ``train_seconds`` and ``test_seconds``.
    """
    head = _config(cell.head, cell.head_options, cell.data_root)
    stages: list[Stage] = []
    data = None
    if cell.embedded is not None:
        stages.append(_data_stage(cell.embedded, seed, work_dir))
        data = stages[0].folder / 'data'
    neck = head.model.get('neck') or ConfigDict()
    if cell.pretrain is not None and neck.get('type') == 'SoLa':
        # Of one size with and without label-free training: the second is the control of the first.
        neck.update(_config(cell.pretrain, cell.pretrain_options, cell.data_root).model.neck)
    pretrained = (
        cell.pretrain is not None and (neck.get('init_cfg') or {}).get('type') == 'Pretrained'
    )
    if pretrained:
        stages.append(_pretrain_stage(cell, seed, work_dir, data, [stage.name for stage in stages]))
        neck.init_cfg.checkpoint = None  # whatever the config names is not what is read
    # Names of stages stand for their folders, so that a study's folder can be moved.
    settings = _settings(head, seed, [stage.name for stage in stages])
    if pretrained:
        neck.init_cfg.checkpoint = str(stages[-1].folder / 'run/sola.pth')
    if data is not None:
        _use_data(head, data)
    stage = _stage('head', settings, work_dir, lambda folder: _run_head(head, folder, seed))
    stages.append(replace(stage, config=head))
    return stages


def _stage(kind: str, settings: str, work_dir: Path, work: Callable[[Path], dict]) -> Stage:
    folder = work_dir / f'{kind}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}'
    return Stage(kind, folder, settings, lambda: work(folder))


def _data_stage(options: Mapping[str, Any], seed: int, work_dir: Path) -> Stage:
    options = dict(options)
    if options.pop('validation', False):
        options.update(VALIDATION)
    wanted = WatchSettings(seed=seed, **options).to_json()
    return _stage(
        'data',
        json.dumps(wanted, sort_keys=True),
        work_dir,
        lambda folder: prepare_watch(folder / 'data', seed, force=True, **options).encoder,
    )


def _pretrain_stage(
    cell: Condition, seed: int, work_dir: Path, data: Path | None, needs: list[str]
) -> Stage:
    cfg = _config(cell.pretrain, cell.pretrain_options, cell.data_root)
    features = cfg.train_dataloader.dataset.features
    no_unlabelled = (
        cell.embedded is not None and cell.embedded.get('labelled') == WatchSettings.num_train
    )
    if no_unlabelled and 'unlabelled' in features.subset:
        features.subset = [subset for subset in features.subset if subset != 'unlabelled']
    settings = _settings(cfg, seed, needs)
    if data is not None:
        features.data_root = str(data)

    def work(folder: Path) -> dict:
        run = _seeded(cfg, folder / 'run', seed)
        return dict(path=str(pretrain(run)))

    return _stage('pretrain', settings, work_dir, work)


def _run_head(cfg: Config, folder: Path, seed: int) -> dict:
    """Train, test and probe; each is a stage of its own, so that a kill costs one of them."""
    run = _seeded(cfg, folder / 'run', seed)
    checkpoint = Path(run.work_dir) / f'epoch_{run.train_cfg.max_epochs}.pth'

    def train() -> dict:
        train_localizer(Config(run.to_dict()))
        return {}

    trained = run_stage(folder / 'train', '', train)
    tested = run_stage(
        folder / 'test', '', lambda: test_localizer(Config(run.to_dict()), checkpoint)
    )
    probed = run_stage(folder / 'probe', '', lambda: probe_localizer(run, checkpoint))
    figures = {key: tested[f'TAL/{key}'] for key in FIGURES if f'TAL/{key}' in tested}
    return dict(
        figures,
        probe=probed['accuracy'],
        probe_balanced=probed['balanced_accuracy'],
        probe_AP=probed['average_precision'],
        train_seconds=trained['seconds'],
        test_seconds=tested['seconds'],
    )


def _config(
    path: Path | None, options: Mapping[str, Any], data_root: tuple[str, str] | None
) -> Config:
    cfg = Config.fromfile(path)
    cfg.merge_from_dict(copy.deepcopy(dict(options)))  # it writes into what it is given
    if data_root is not None:
        move_data(cfg, *data_root)
    return cfg


def _use_data(cfg: Config, data: Path) -> None:
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(loader) is not None:
            cfg[loader].dataset.data_root = str(data)


def _settings(cfg: Config, seed: int, needs: list[str]) -> str:
    return json.dumps(
        dict(config=cfg.to_dict(), seed=seed, needs=needs), sort_keys=True, default=repr
    )


def _seeded(cfg: Config, work_dir: Path, seed: int) -> Config:
    cfg = Config(cfg.to_dict())
    cfg.work_dir, cfg.randomness, cfg.resume = str(work_dir), dict(seed=seed), True
    return cfg
