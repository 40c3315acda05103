"""Pretext tasks other than similarity matching: known targets, gradients, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS

from sola_plugin.necks import SoLa
from sola_plugin.pretraining.tasks import (
    BoundarySensitive,
    PseudoActionLocalization,
    SimilarityMatcher,
    TemporallySensitive,
)
from sola_plugin.pretraining.tasks.boundary_sensitive import KINDS, cut_and_paste
from sola_plugin.pretraining.tasks.pseudo_localization import paste


def neck(channels: int = 6) -> SoLa:
    torch.manual_seed(0)
    return SoLa(in_channels=channels, hidden_channels=4)


def tasks() -> dict:
    return {
        'BoundarySensitive': (
            BoundarySensitive(neck(), window=24, margin=3, hidden_channels=5),
            (),
        ),
        'PseudoActionLocalization': (
            PseudoActionLocalization(neck(), window=12, piece=(3, 6), projector_channels=5),
            (),
        ),
        'TemporallySensitive': (
            TemporallySensitive(neck(), num_classes=3, window=10),
            (torch.arange(40).reshape(4, 10) % 4 - 1,),
        ),
        'SimilarityMatcher': (SimilarityMatcher(neck(), predictor_channels=5), ()),
    }


@pytest.mark.parametrize('name', tasks())
def test_every_weight_gets_a_gradient(name):
    task, labels = tasks()[name]
    torch.nn.init.constant_(task.neck.alpha, 0.5)
    losses = task(torch.randn(4, 6, task.window), labels=labels[0] if labels else None)
    loss, log = task.parse_losses(losses)
    loss.backward()
    missing = [
        key for key, p in task.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ]
    assert missing == [] and 'loss' in log


@pytest.mark.parametrize('name', tasks())
def test_settings_rebuild_the_task(name):
    task, _ = tasks()[name]
    again = MODELS.build(dict(task.settings, neck=neck()))
    assert type(again) is type(task) and again.settings == task.settings
    assert {k: v.shape for k, v in again.state_dict().items()} == {
        k: v.shape for k, v in task.state_dict().items()
    }


@pytest.mark.parametrize(
    'name',
    [
        'BoundarySensitive',
        pytest.param('PseudoActionLocalization', marks=pytest.mark.slow),
        pytest.param('TemporallySensitive', marks=pytest.mark.slow),
    ],
)
def test_can_be_learnt(name):
    """Windows of four videos that differ, with a pattern inside: the loss falls well below
    chance."""
    task, labels = tasks()[name]
    torch.manual_seed(1)
    videos = torch.randn(16, 6, 1) * 3
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    first = last = None
    for _ in range(300):
        inputs = videos + torch.linspace(0, 6, task.window) + 0.3 * torch.randn(16, 6, task.window)
        label = None
        if labels:
            label = torch.where(torch.arange(task.window) < 5, 1, -1).expand(16, -1)
        loss, _ = task.parse_losses(task(inputs, labels=label))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        first, last = first or loss.item(), loss.item()
    assert last < 0.7 * first


def naive_clip(window: np.ndarray, other: np.ndarray, kind: str, cut: int) -> np.ndarray:
    length = window.shape[1] // 2
    before, after = window[:, :cut], length - cut
    rest = {
        'none': window[:, cut:length],
        'other video': other[:, cut:length],
        'same video': window[:, length + cut :],
        'speed': window[:, cut + 1 : cut + 1 + 2 * after : 2],
    }[kind]
    return np.concatenate([before, rest[:, :after]], axis=1)


def test_clips_have_the_boundary_that_their_kind_says():
    rng = np.random.default_rng(0)
    windows, others = rng.normal(size=(2, 40, 3, 20)).astype(np.float32)
    kinds, cuts = rng.integers(0, 4, 40), rng.integers(1, 10, 40)
    clips = cut_and_paste(*map(torch.from_numpy, (windows, others, kinds, cuts))).numpy()
    for clip, window, other, kind, cut in zip(clips, windows, others, kinds, cuts):
        np.testing.assert_array_equal(clip, naive_clip(window, other, KINDS[kind], cut))


def test_a_pasted_piece_is_where_the_mask_says():
    """Against NumPy's interpolation, shortened, as it is, and stretched."""
    rng = np.random.default_rng(0)
    windows, backgrounds = rng.normal(size=(2, 60, 3, 12)).astype(np.float32)
    lengths, resized = rng.integers(1, 13, (2, 60))
    resized[:20] = lengths[:20]
    source, start = (
        np.array([rng.integers(0, 13 - n) for n in sizes]) for sizes in (lengths, resized)
    )
    pasted, mask = paste(
        *map(torch.from_numpy, (windows, backgrounds, source, lengths, start, resized))
    )
    for i in range(60):
        piece = windows[i][:, source[i] : source[i] + lengths[i]]
        places = np.linspace(0, lengths[i] - 1, resized[i])
        expected = backgrounds[i].copy()
        expected[:, start[i] : start[i] + resized[i]] = [
            np.interp(places, np.arange(lengths[i]), channel) for channel in piece
        ]
        np.testing.assert_allclose(pasted[i], expected, atol=1e-5)
        assert np.flatnonzero(mask[i]).tolist() == list(range(start[i], start[i] + resized[i]))
        if i < 20:
            np.testing.assert_array_equal(pasted[i], expected)


def test_only_background_has_no_action_loss():
    task = TemporallySensitive(neck(), num_classes=2, window=5)
    losses = task(torch.randn(2, 6, 5), labels=torch.full((2, 5), -1))
    assert losses['loss_action'] == 0 and losses['loss_region'] > 0
    task.parse_losses(losses)[0].backward()
    assert (
        task.classify_action.weight.grad is not None
    )  # distributed training waits for every gradient


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: BoundarySensitive(neck(), window=23), 'expected an even window'),
        (lambda: BoundarySensitive(neck(), window=20, margin=6), r'at least 4 \* margin'),
        (
            lambda: PseudoActionLocalization(neck(), window=10, piece=(3, 11)),
            'shortest <= longest <= window',
        ),
        (lambda: PseudoActionLocalization(neck(), temperature=0), 'temperature > 0'),
        (lambda: PseudoActionLocalization(neck(), speed=(2, 1)), '0 < slowest <= fastest'),
        (lambda: TemporallySensitive(neck(), num_classes=0), 'num_classes is 0'),
    ],
)
def test_bad_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_bad_batches():
    with pytest.raises(ValueError, match='at least 2 windows'):
        BoundarySensitive(neck(), window=24)(torch.zeros(1, 6, 24))
    with pytest.raises(ValueError, match='at least 3 windows, got 2'):
        PseudoActionLocalization(neck())(torch.zeros(2, 6, 32))
    task = TemporallySensitive(neck(), num_classes=2, window=5)
    with pytest.raises(ValueError, match='labels=True'):
        task(torch.zeros(2, 6, 5))
    with pytest.raises(ValueError, match='labels are 0 to 2, expected -1'):
        task(torch.zeros(2, 6, 5), labels=torch.tensor([[0, 1, 2, 0, 0]] * 2))
    with pytest.raises(ValueError, match=r'expected windows \(B, C, 5\)'):
        task(torch.zeros(2, 6, 6))
