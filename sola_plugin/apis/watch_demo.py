"""The main job on the embedded data: heads on raw features, on trivially changed ones, and with SoLa."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import Config

from sola_plugin.datasets.watch import VALIDATION, WatchSettings, prepare_watch
from sola_plugin.engine import pretrain
from sola_plugin.models.necks import read_sola
from sola_plugin.studies.stages import run_stage

from .probing import probe_localizer
from .testing import test_localizer
from .training import train_localizer

#: The strongest trivial method, which differences are taken to.
BASELINE = 'standardised'
#: Head → start of the names of its configs in ``configs/localization``; method → their end.
HEADS = {'BMN': 'bmn_watch', 'G-TAD': 'gtad_watch', 'ActionFormer': 'actionformer_watch'}
METHODS = {
    'raw features': '',
    'mean of 3 snippets': '_smoothing',
    'standardised': '_standardization',
    'SoLa, frozen': '_sola',
    'SoLa, fine-tuned': '_sola_finetune',
}
#: Stages that are reported.
NUM_PREPARE_STAGES = 2
NUM_HEAD_STAGES = 3 * len(METHODS)


@dataclass(frozen=True)
class Regime:
    """What is trained and tested on; see docs/watch.md.

    Attributes:
        split: ``'time'``: the same subjects in training and testing; ``'subject'``: others.
        labelled: Training streams with labels, of 56.
        encoder_classes: Exercises that the frozen encoder was trained to classify.
        validation: Cut everything from the training part, for choosing settings.
    """

    split: str = 'time'
    labelled: int = 14
    encoder_classes: tuple[str, ...] = ('IR', 'ER', 'TRAP')
    validation: bool = False


@dataclass(frozen=True)
class Job:
    """One seed of the demo.

    Attributes:
        seed: Of the data (subjects, streams, encoder), of SoLa and of the heads.
        folder: Where everything of this seed is written. Finished stages are not done again.
        configs: The project's ``configs``.
        regime: See :class:`Regime`.
        pretrain_config: Similarity matching, relative to ``configs``.
    """

    seed: int
    folder: Path
    configs: Path
    regime: Regime = Regime()
    pretrain_config: str = 'pretrain/sola_watch.py'

    @property
    def matching(self) -> Config:
        """Config of similarity matching on the data of this seed."""
        cfg = Config.fromfile(self.configs / self.pretrain_config)
        features = cfg.train_dataloader.dataset.features
        features.data_root = str(self.folder / 'data')
        if self.regime.labelled == WatchSettings.num_train:
            features.subset = ['training']  # no stream is without labels
        return self._seeded(cfg, 'sola')

    def localizer(self, head: str, method: str) -> Config:
        """Config of a head; with SoLa, on top of the neck that similarity matching gave."""
        name = config_name(head, method)
        cfg = Config.fromfile(self.configs / 'localization' / f'{name}.py')
        for loader in (cfg.train_dataloader, cfg.test_dataloader):
            loader.dataset.data_root = str(self.folder / 'data')
        if has_sola(cfg):
            cfg.model.neck.update(self.matching.model.neck)
            cfg.model.neck.init_cfg.checkpoint = str(self.folder / 'sola/run/sola.pth')
        return self._seeded(cfg, name)

    def settings(self, *configs: Config) -> str:
        """Text that changes with everything that a result depends on."""
        return '\n'.join([*(cfg.pretty_text for cfg in configs), f'{self.seed} {self.regime}'])

    def _seeded(self, cfg: Config, name: str) -> Config:
        cfg.work_dir, cfg.randomness = str(self.folder / name / 'run'), dict(seed=self.seed)
        cfg.resume = True
        return cfg


def prepare(job: Job, report: Callable[[str], None]) -> None:
    """Write the data and train SoLa.

    Args:
        job: The seed.
        report: Called with the name of each of the :data:`NUM_PREPARE_STAGES` stages when it is over.
    """
    options = {key: value for key, value in asdict(job.regime).items() if key != 'validation'}
    options.update(VALIDATION if job.regime.validation else {})
    run_stage(job.folder / 'prepare', f'{job.seed} {options}',
              lambda: prepare_watch(job.folder / 'data', job.seed, force=True, **options).encoder)
    report('data')
    cfg = job.matching
    run_stage(job.folder / 'sola', job.settings(cfg), lambda: dict(path=str(pretrain(cfg))))
    report('similarity matching')


def run_head(job: Job, head: str, report: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Train, test and probe a head by every method; after :func:`prepare`.

    Args:
        job: The seed.
        head: One of :data:`HEADS`.
        report: Called with the name of each of the :data:`NUM_HEAD_STAGES` stages when it is over.

    Returns:
        For each method: ``probe``, ``AR@10``, ``AR@100``, ``mAP``, ``mAP@0.5`` (fractions),
        ``pretrain_seconds`` (with SoLa), ``train_seconds``, ``test_seconds``.
    """
    return {method: _run_method(job, head, method, report) for method in METHODS}


def _run_method(job: Job, head: str, method: str, report: Callable[[str], None]) -> dict[str, float]:
    cfg, folder = job.localizer(head, method), job.folder / config_name(head, method)
    settings = job.settings(cfg, job.matching) if has_sola(cfg) else job.settings(cfg)

    def stage(name: str, work: Callable[[], dict]) -> dict:
        result = run_stage(folder / name, settings, work)
        report(f'{name} {head}, {method}')
        return result

    def train() -> dict:
        train_localizer(Config(cfg.to_dict()))
        return {}

    checkpoint = Path(cfg.work_dir) / f'epoch_{cfg.train_cfg.max_epochs}.pth'
    trained = stage('train', train)
    tested = stage('test', lambda: test_localizer(Config(cfg.to_dict()), checkpoint))
    # scikit-learn's defaults, not the probe's: with these the figures of docs/results.md were measured.
    probed = stage('probe', lambda: probe_localizer(cfg, checkpoint, C=1.0, tol=1e-4, max_iter=1000))
    figures = {key: tested[f'TAL/{key}'] for key in ('AR@10', 'AR@100', 'mAP', 'mAP@0.5')}
    figures.update(probe=probed['accuracy'], train_seconds=trained['seconds'],
                   test_seconds=tested['seconds'])
    if has_sola(cfg):
        # Done by now: this reads how long it took.
        figures['pretrain_seconds'] = run_stage(
            job.folder / 'sola', job.settings(job.matching), dict)['seconds']
    return figures


def has_sola(cfg: Config) -> bool:
    """Whether the localizer of a config has a SoLa neck."""
    return cfg.model.get('neck', {}).get('type') == 'SoLa'


def config_name(head: str, method: str) -> str:
    """Name of the config, and of the folder, of a method with a head."""
    return HEADS[head] + METHODS[method]


def matching_losses(folder: Path) -> list[float]:
    """Mean loss of every epoch of similarity matching.

    Args:
        folder: Folder of a seed.

    Returns:
        The losses.
    """
    return read_sola(folder / 'sola/run/sola.pth')['meta']['losses']


def detections_of(folder: Path, head: str, method: str) -> dict[str, list[dict]]:
    """Detections of one method.

    Args:
        folder: Folder of a seed.
        head: A key of :data:`HEADS`.
        method: A key of :data:`METHODS`.

    Returns:
        ``{video: [dict(segment, label, score)]}``.
    """
    path = folder / config_name(head, method) / 'run' / 'detections.json'
    return json.loads(path.read_text(encoding='utf-8'))['results']
