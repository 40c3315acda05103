"""What a model costs: parameters, multiply-accumulates, time and memory of a training step."""

from __future__ import annotations

import gc
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, kineto_available, profile
from torch.utils.flop_counter import FlopCounterMode

from sola_plugin.heads import NeckMixin
from sola_plugin.pretraining.tasks import Pretext
from sola_plugin.visualization.table import MISSING, Table


@dataclass(frozen=True)
class Complexity:
    """Cost of one model.

    Attributes:
        parameters: Those that stay after training: of the neck of a pretext task, of a whole
            localizer.
        neck_parameters: Those of the neck among them; 0 without a neck.
        trained_parameters: Those that training changes: with what is thrown away afterwards,
            without a frozen neck.
        macs: Multiply-accumulates of a forward pass of one video through what stays after training.
            Convolutions and matrix products are counted; the sparse sampling of BMN and G-TAD is
            not.
        batch_size: Windows, or videos, in a training step.
        step_seconds: Median time of a training step.
        step_bytes: Peak memory of the tensors of a training step with AdamW, above that of the
            model and the batch; ``None`` where PyTorch was built without its profiler.
    """

    parameters: int
    neck_parameters: int
    trained_parameters: int
    macs: int
    batch_size: int
    step_seconds: float
    step_bytes: int | None


def read_model(config: str | os.PathLike) -> tuple[Pretext | NeckMixin, int]:
    """Build the model of a config, without reading checkpoints.

    Args:
        config: Runner config.

    Returns:
        The model, and its batch size in training; 1 where the config has no training data.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The model cannot be built, or is neither a pretext task nor a localizer with
            neck support.
    """
    cfg = Config.fromfile(config)
    if not isinstance(cfg.get('model'), dict) or 'type' not in cfg.model:
        raise ValueError(
            f'{config}: expected model=dict(type=...) of a pretext task or a localizer'
        )
    try:
        model = MODELS.build(cfg.model)
    except (KeyError, TypeError, ValueError) as error:
        reason = error.args[0] if error.args else error  # a KeyError's text is quoted
        raise ValueError(f'{config}: the model cannot be built: {reason}') from error
    if not isinstance(model, (Pretext, NeckMixin)):
        raise ValueError(
            f'{config}: {cfg.model.type} is neither a pretext task nor a localizer that takes '
            'a neck; expected configs such as those of configs/pretrain and '
            'configs/localization'
        )
    return model, (cfg.get('train_dataloader') or {}).get('batch_size', 1)


def measure_complexity(
    model: Pretext | NeckMixin, batch_size: int, snippets: int = 100, steps: int = 5
) -> Complexity:
    """Measure what a model costs, on random features and where it is (CPU or GPU).

    Args:
        model: A pretext task or a localizer. It is trained, so it is of no use afterwards.
        batch_size: Of the training steps.
        snippets: Length T of the video whose forward pass is counted, and of the videos that a
            localizer is trained on.
        steps: Training steps that are timed, after two that are not.

    Returns:
        The cost.

    Raises:
        ValueError: A number is below 1, or the task needs larger batches.
    """
    if min(batch_size, snippets, steps) < 1:
        raise ValueError(
            'expected at least 1 of each, got '
            f'batch_size={batch_size}, snippets={snippets}, steps={steps}'
        )
    device = next(model.parameters()).device
    features = torch.rand(model.channels, snippets, device=device)
    if isinstance(model, Pretext):
        parameters = _count(model.neck)
        batch = _windows(model, batch_size, device)
    else:
        # A predictor serves similarity matching as an auxiliary loss only.
        parameters = _count(model) - _count(model.predictor)
        batch = _videos(model, batch_size, snippets, device)
    trained = _count(model, trained=True)
    step = _training_step(model, batch)
    memory = _peak_bytes(step, device)
    seconds = _median_seconds(step, steps, device)
    macs = (
        _macs(model.neck, features[None])
        if isinstance(model, Pretext)
        else _macs(model, [features])
    )
    return Complexity(parameters, _count(model.neck), trained, macs, batch_size, seconds, memory)


def _windows(model: Pretext, batch_size: int, device: torch.device) -> dict[str, Any]:
    batch = dict(inputs=torch.rand(batch_size, model.channels, model.window, device=device))
    if model.uses_labels:  # background and the first class, in turn
        batch['labels'] = torch.arange(model.window, device=device).expand(batch_size, -1) % 2 - 1
    return batch


def _videos(
    model: NeckMixin, batch_size: int, snippets: int, device: torch.device
) -> dict[str, Any]:
    """Videos of one second a snippet with two actions each, a tenth of the video long."""
    samples = []
    for index in range(batch_size):
        sample = ActionDataSample()
        sample.gt_instances = InstanceData(
            gt_bbox=torch.tensor([[0.1, 0.2], [0.5, 0.6]], dtype=torch.float64),
            gt_labels=torch.tensor([0, 0]),
        )
        sample.set_metainfo(
            dict(
                video_name=f'v_{index}',
                duration=float(snippets),
                feature_span=(0.0, float(snippets)),
                classes=getattr(model, 'classes', None),
            )
        )
        samples.append(sample)
    inputs = [torch.rand(model.channels, snippets, device=device) for _ in range(batch_size)]
    return dict(inputs=inputs, data_samples=samples)


def _count(model: nn.Module | None, trained: bool = False) -> int:
    if model is None:
        return 0
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def _training_step(model: nn.Module, batch: dict[str, Any]) -> Callable[[], None]:
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])

    def step() -> None:
        optimizer.zero_grad()
        losses = model(**batch, mode='loss')
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        optimizer.step()

    return step


def _peak_bytes(step: Callable[[], None], device: torch.device) -> int | None:
    """Peak memory of two steps: the state of the optimizer is there from the second on."""
    gc.collect()  # what is freed meanwhile must be the steps' own
    if device.type == 'cuda':
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        step()
        return torch.cuda.max_memory_allocated(device) - before
    if not kineto_available():
        return None
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')  # it tells its start and stop on stderr
    # One cycle: accumulating its events keeps PyTorch 2.11 from warning that it will not.
    cpu = [ProfilerActivity.CPU]
    with profile(activities=cpu, profile_memory=True, acc_events=True) as record:
        step()
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'trace.json')
        record.export_chrome_trace(str(path))
        events = json.loads(path.read_bytes())['traceEvents']
    changes = sorted(
        (event['ts'], index, event['args']['Bytes'])
        for index, event in enumerate(events)
        if event['name'] == '[memory]'
    )
    return max(itertools.accumulate(change for _, _, change in changes))


def _median_seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    def wait() -> None:
        if device.type == 'cuda':
            torch.cuda.synchronize(device)

    times = []
    wait()  # for what was begun before
    for _ in range(steps):
        begin = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _macs(model: nn.Module, inputs: Tensor | list[Tensor]) -> int:
    model.eval()
    with FlopCounterMode(display=False) as counter:
        model(inputs)
    return counter.get_total_flops() // 2


def complexity_table(costs: Mapping[str, Complexity], snippets: int) -> Table:
    """Lay out the costs of several models.

    Args:
        costs: By name.
        snippets: What the forward passes were counted for.

    Returns:
        One row for each model.
    """
    header = (
        'config',
        'parameters',
        'of the neck',
        'trained',
        f'MMAC, {snippets} snippets',
        'batch',
        'step, ms',
        'step, MB',
    )
    rows = tuple(
        (
            name,
            f'{cost.parameters:,}',
            f'{cost.neck_parameters:,}',
            f'{cost.trained_parameters:,}',
            f'{cost.macs / 1e6:,.1f}',
            str(cost.batch_size),
            f'{1e3 * cost.step_seconds:,.1f}',
            MISSING if cost.step_bytes is None else f'{cost.step_bytes / 1e6:,.1f}',
        )
        for name, cost in costs.items()
    )
    note = (
        'Parameters and MMAC (million multiply-accumulates of convolutions and matrix '
        'products): of what '
        'stays after training, which of a pretext task is the neck. Trained: with what is '
        'thrown away, '
        'without a frozen neck. Step: time of a training step with AdamW, and the peak '
        'memory of its '
        'tensors above the model and the batch.'
    )
    return Table(header, rows, note)
