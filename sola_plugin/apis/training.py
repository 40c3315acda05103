"""Train a localizer."""

from __future__ import annotations

from mmaction.registry import RUNNERS
from mmengine.config import Config
from mmengine.runner import Runner

from sola_plugin.engine import RandomStateHook, name_run, resume_run
from sola_plugin.engine.running import run_training
from sola_plugin.engine.trained_on import warn_of_pretrained_neck
from sola_plugin.utils import naming_file


def build_runner(cfg: Config) -> Runner:
    """Build the Runner of a config, of the class that ``runner_type`` names.

    Args:
        cfg: Runner config.

    Returns:
        The Runner.
    """
    name_run(cfg)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def train_localizer(cfg: Config) -> Runner:
    """Train a localizer by its config.

    Args:
        cfg: Runner config. With ``resume=True`` and no ``load_from``, the run goes on from the
            newest checkpoint of its ``work_dir`` that can be read. A run by epochs that is resumed
            ends with the weights that it would have had without the stop.

    Returns:
        The Runner after training.

    Raises:
        BusyError: Another process trains in this work dir.
    """
    resume_run(cfg)
    with naming_file(cfg.work_dir):
        runner = build_runner(cfg)
        runner.register_hook(RandomStateHook())
        warn_of_pretrained_neck(cfg)
        run_training(runner)
    return runner
