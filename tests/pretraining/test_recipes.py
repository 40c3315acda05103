"""How a head takes over the neck that ``SoLaPretrainHook`` has trained, by name."""

from __future__ import annotations

import pytest
import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from sola_plugin.commands import train_localizer
from sola_plugin.necks import Neck
from tests.conftest import localization_config

SMALL = dict(window=12, start=2, step=1, num_positions=4, predictor_channels=5)
SCHEDULE = dict(batch_size=4, max_epochs=1, windows_per_video=8, lr=1e-2, pretext=SMALL)


@HOOKS.register_module()
class NoteTheGate(Hook):
    """Notes the gate of the neck as the head's training begins."""

    at_the_start: float

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == 0:
            NoteTheGate.at_the_start = runner.model.neck.alpha.item()


@MODELS.register_module()
class NeckWithoutGate(Neck):
    """One that can be trained, but is no SoLa."""

    def __init__(self, in_channels: int | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(in_channels, init_cfg)
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, mask=None):
        return x * self.scale


def train(data_root, work_dir, neck=None, **hook):
    """A head behind a neck that the hook trains; the neck, and its gate as the head begins."""
    cfg = Config(localization_config(data_root, work_dir))
    cfg.model.neck = {'type': 'SoLa', 'hidden_channels': 4, **(neck or {})}
    cfg.custom_hooks = [
        dict(type='SoLaPretrainHook', **SCHEDULE, **hook),
        dict(type='NoteTheGate'),
    ]
    return train_localizer(cfg).model.neck, NoteTheGate.at_the_start


@pytest.mark.parametrize(
    ('recipe', 'neck', 'hook'),
    [
        ('paper', {}, {}),
        ('finetune', {}, dict(freeze=False)),
        ('reset_gate', dict(reset_gate=True), dict(freeze=False)),
    ],
)
def test_a_name_for_what_can_also_be_said_one_by_one(data_root, tmp_path, recipe, neck, hook):
    """To the bit. The paper's way is also that of a hook that is told nothing."""
    named, gate = train(data_root, tmp_path / 'named', recipe=recipe)
    expected, its_gate = train(data_root, tmp_path / 'expected', neck, **hook)
    assert named.frozen == expected.frozen == (recipe == 'paper')
    assert gate == its_gate and (gate == 0) == (recipe == 'reset_gate')
    for key, weight in expected.state_dict().items():
        assert torch.equal(named.state_dict()[key], weight), key
    assert named.alpha != 0


@pytest.mark.parametrize(
    ('neck', 'message'),
    [
        (dict(frozen=True), 'sets the gate of a SoLa to zero, .*: not of a frozen neck'),
        (dict(type='NeckWithoutGate'), 'not of NeckWithoutGate, which has none'),
    ],
)
def test_a_gate_that_cannot_be_reset(data_root, tmp_path, neck, message):
    """It is said before the neck is trained."""
    cfg = Config(localization_config(data_root, tmp_path))
    cfg.model.neck = {'type': 'SoLa', **neck}
    cfg.custom_hooks = [dict(type='SoLaPretrainHook', recipe='reset_gate', **SCHEDULE)]
    with pytest.raises(ValueError, match=message):
        train_localizer(cfg)
    assert not (tmp_path / 'sola').exists()


def test_a_recipe_that_is_not_known_or_said_twice():
    with pytest.raises(ValueError, match="unknown recipe 'best', expected one of paper, finetune"):
        HOOKS.build(dict(type='SoLaPretrainHook', recipe='best'))
    with pytest.raises(ValueError, match="recipe='paper' says whether .* leave freeze=False out"):
        HOOKS.build(dict(type='SoLaPretrainHook', recipe='paper', freeze=False))
