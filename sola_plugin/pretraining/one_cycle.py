"""One cycle of the learning rate that keeps the ratios of the parameter groups."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mmaction.registry import PARAM_SCHEDULERS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.optim import OneCycleLR


@PARAM_SCHEDULERS.register_module()
class ProportionalOneCycleLR(OneCycleLR):
    """mmengine's ``OneCycleLR``, which gives all parameters one rate, with each group's own share.

    Args:
        optimizer: Optimizer or its wrapper, whose groups have the rates of ``paramwise_cfg``.
        eta_max: Largest rate of the group with the largest one; the others keep their ratio to it.
        **kwargs: Of ``OneCycleLR``.

    Example:
        >>> param_scheduler = dict(type='ProportionalOneCycleLR', eta_max=1e-3, total_steps=60)
        >>> optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=0.1))))
    """

    def __init__(self, optimizer: Any, *, eta_max: float, **kwargs: Any) -> None:
        rates = [group['lr'] for group in optimizer.param_groups]
        largest = [eta_max * rate / max(rates) for rate in rates]
        super().__init__(optimizer, eta_max=largest, **kwargs)


def warn_of_lost_multipliers(cfg: Config) -> None:
    """Say that ``OneCycleLR`` overwrites the ``lr_mult`` of a config, which nothing else shows.

    Args:
        cfg: Runner config.
    """
    paramwise = (cfg.get('optim_wrapper') or {}).get('paramwise_cfg') or {}
    keys = [*paramwise, *(key for each in _dicts(paramwise.get('custom_keys')) for key in each)]
    schedulers = cfg.get('param_scheduler') or ()
    if isinstance(schedulers, Mapping):
        schedulers = [schedulers]
    if any(key.endswith('lr_mult') for key in keys) and any(
        each.get('type') == 'OneCycleLR' and not isinstance(each.get('eta_max'), (list, tuple))
        for each in schedulers
    ):
        print_log(
            'lr_mult of optim_wrapper.paramwise_cfg does nothing: OneCycleLR gives all parameters '
            "one rate. Set param_scheduler.type='ProportionalOneCycleLR', which keeps the ratios",
            'current',
            logging.WARNING,
        )


def _dicts(named: Any) -> list[Mapping[str, Any]]:
    return [each for each in (named or {}).values() if isinstance(each, Mapping)]
