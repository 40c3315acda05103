"""The schedule of a run that goes on: the checkpoint's and the config's are one, or a new one."""

from __future__ import annotations

import collections
import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from sola_plugin.messages import first_few
from sola_plugin.necks.checkpoint import CheckpointError

#: What a scheduler of mmengine counts as it goes on, and when it ends; the rest is its schedule.
_COUNTERS = frozenset({'last_step', 'base_values', 'verbose', 'end'})


def check_resumable(checkpoint: Any, path: str | os.PathLike) -> None:
    """Refuse to go on from weights alone: optimizer and schedule would begin anew.

    Raises:
        CheckpointError: There is no optimizer in the file, such as in ``best_*.pth``.
    """
    if isinstance(checkpoint, Mapping) and 'optimizer' in checkpoint:
        return
    raise CheckpointError(
        f'{os.fspath(path)} holds weights and no optimizer, so that no run can go on from it: '
        'resume an epoch_<n>.pth, or begin a new run with its weights, '
        f'--cfg-options load_from={os.fspath(path)}, without --resume'
    )


class ScheduleHook(Hook):
    """Looks at the schedule of a run that is resumed: mmengine takes the checkpoint's silently.

    Args:
        new: Whether the run goes on in the schedule of the config, at the place where it would be
            had it been trained so from the start. Else another schedule is refused.
    """

    def __init__(self, new: bool = False) -> None:
        self.new = new

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the schedules, or put the config's in the place of the checkpoint's.

        Raises:
            CheckpointError: They differ, and no new one is wanted.
        """
        states = checkpoint.get('param_schedulers')
        if not runner._resume or not isinstance(states, list) or not runner.param_schedulers:
            return
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        changes = _changes(runner, states)
        if changes and self.new:
            _begin_schedule(runner, checkpoint)
            print_log(
                f'the run goes on in the schedule of the config ({first_few(changes, 5)}), with '
                f'{_rates(runner)}',
                'current',
                logging.WARNING,
            )
        elif changes:
            raise CheckpointError(
                f'the run that is resumed has another schedule than the config: '
                f'{first_few(changes, 5)}. The rest of it would be trained with learning rates '
                'that nobody chose: go on in the schedule of the config with --new-schedule, '
                'resume the run with its own, or begin a new run with its weights (load_from, '
                'without --resume)'
            )
        else:
            _move_end(runner, checkpoint)


def _changes(runner: Runner, states: list[dict]) -> list[str]:
    """What differs between the schedules of a checkpoint and those of the run."""
    changes = []
    if len(states) != len(runner.param_schedulers):
        changes.append(f'{len(states)} schedulers, now {len(runner.param_schedulers)}')
    for scheduler, state in zip(runner.param_schedulers, states):
        before, now = _plain(state), _plain(scheduler.state_dict())
        changes += [
            f'{type(scheduler).__name__}: {key} {before[key]}, now {now[key]}'
            for key in sorted(now.keys() & before.keys() - _COUNTERS)
            if not key.startswith('_') and now[key] != before[key]
        ]
    return changes


def _move_end(runner: Runner, checkpoint: dict) -> None:
    """Go on where the run has more epochs of the same schedule, or fewer, than it had.

    mmengine's schedulers leave out the last step of a run: without it, what follows would be one
    step late. Those that look at validation figures, which are gone, cannot be stepped again.
    """
    pairs = list(zip(checkpoint['param_schedulers'], runner.param_schedulers))
    if all(state.get('end') == scheduler.end for state, scheduler in pairs):
        return
    if any(getattr(scheduler, 'need_val_args', False) for _, scheduler in pairs):
        for state, scheduler in pairs:
            state['end'] = scheduler.end
    else:
        _begin_schedule(runner, checkpoint)


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """What can be compared of the state of a scheduler; milestones are counted there."""
    known = {
        key: sorted(value.elements()) if isinstance(value, collections.Counter) else value
        for key, value in state.items()
    }
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in known.items()
        if isinstance(value, (int, float, str, list, tuple))
    }


def _begin_schedule(runner: Runner, checkpoint: dict) -> None:
    """Step new schedulers to where the run stands, and have them and their values resumed.

    mmengine loads the optimizer after this: it is new here, and so are its learning rates.
    """
    epochs, iterations = checkpoint['meta']['epoch'], checkpoint['meta']['iter']
    by_epoch = [scheduler.by_epoch for scheduler in runner.param_schedulers]
    length = iterations // epochs if epochs else iterations
    with warnings.catch_warnings():
        # The steps of the optimizer were those of the run before.
        warnings.filterwarnings('ignore', r'Detected call of `scheduler.step\(\)` before')
        for iteration in range(1, iterations + 1):
            for scheduler in _of_kind(runner.param_schedulers, by_epoch, False):
                scheduler.step()
            if length and iteration % length == 0:
                for scheduler in _of_kind(runner.param_schedulers, by_epoch, True):
                    scheduler.step()
    names = {scheduler.param_name for scheduler in runner.param_schedulers}
    names |= {f'initial_{name}' for name in names}
    groups = checkpoint['optimizer']['param_groups']
    for group, now in zip(groups, runner.optim_wrapper.param_groups):
        group.update({name: now[name] for name in names if name in now})
    checkpoint['param_schedulers'] = [
        scheduler.state_dict() for scheduler in runner.param_schedulers
    ]


def _of_kind(schedulers: list, by_epoch: list[bool], wanted: bool) -> list:
    return [one for one, kind in zip(schedulers, by_epoch) if kind is wanted]


def _rates(runner: Runner) -> str:
    rates = dict.fromkeys(f'{group["lr"]:.4g}' for group in runner.optim_wrapper.param_groups)
    return f'a learning rate of {first_few(rates, 5)}'
