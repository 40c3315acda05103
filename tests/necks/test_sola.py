"""The SoLa neck."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS

from sola_plugin.necks import (
    SoLa,
    Standardization,
    TemporalSmoothing,
    build_sola,
    load_sola_weights,
    read_sola,
    save_sola,
)


def small_sola(**options) -> SoLa:
    torch.manual_seed(0)
    sola = SoLa(**{'in_channels': 6, 'hidden_channels': 4, **options})
    torch.nn.init.constant_(sola.alpha, 0.7)
    return sola


def test_equals_the_authors_module(reference_sola, device):
    sola = SoLa(in_channels=32, hidden_channels=16).to(device)
    for prefix, output in (('neck.', 'y'), ('final.neck.', 'y_final')):
        sola.load_state_dict(
            {
                key[len(prefix) :]: torch.from_numpy(value)
                for key, value in reference_sola.items()
                if key.startswith(prefix)
            }
        )
        x = torch.from_numpy(reference_sola['x']).to(device)
        y = sola(x.transpose(1, 2)).transpose(1, 2).detach().cpu()
        np.testing.assert_allclose(y.numpy(), reference_sola[output], rtol=0, atol=1e-6)


def test_defaults_are_the_papers():
    sola = MODELS.build(dict(type='SoLa', in_channels=2048))
    shapes = {key: tuple(value.shape) for key, value in sola.state_dict().items()}
    assert shapes == {
        'alpha': (1,),
        'conv_network.0.weight': (512, 2048, 5),
        'conv_network.0.bias': (512,),
        'conv_network.2.weight': (512, 512, 1),
        'conv_network.2.bias': (512,),
        'conv_network.4.weight': (2048, 512, 1),
        'conv_network.4.bias': (2048,),
    }


@pytest.mark.parametrize('length', [1, 2, 3, 7, 50])
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(kernel_sizes=(3, 3)),
        dict(dilations=(2, 1)),
        dict(kernel_sizes=(1, 5), dilations=(1, 3)),
    ],
)
def test_keeps_the_shape_and_starts_as_the_identity(length, options):
    x = torch.randn(2, 6, length)
    sola = SoLa(in_channels=6, hidden_channels=4, **options)
    assert torch.equal(sola(x), x)
    moved = small_sola(**options)(x)
    assert moved.shape == x.shape and not torch.allclose(moved, x)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(kernel_sizes=(3, 3)),
        dict(dilations=(2, 2)),
        dict(kernel_sizes=(5, 3), dilations=(1, 2)),
    ],
)
def test_mask_makes_padding_invisible(options):
    sola, lengths = small_sola(**options), [9, 4, 1]
    videos = [torch.randn(6, length) for length in lengths]
    batch = torch.full((3, 6, 9), 100.0)  # padding that would show if it were read
    mask = torch.zeros(3, 9, dtype=torch.bool)
    for row, video in enumerate(videos):
        batch[row, :, : lengths[row]], mask[row, : lengths[row]] = video, True
    y = sola(batch, mask)
    for row, video in enumerate(videos):
        torch.testing.assert_close(y[row, :, : lengths[row]], sola(video[None])[0])
        assert (y[row, :, lengths[row] :] == 0).all()


@pytest.mark.parametrize(
    'options',
    [dict(), dict(kernel_sizes=(3, 1)), dict(kernel_sizes=(3, 3)), dict(dilations=(2, 1))],
)
@pytest.mark.parametrize(
    ('start', 'step', 'number'), [(4, 2, 8), (2, 3, 5), (0, 1, 23), (3, 19, 2)]
)
@pytest.mark.parametrize('as_matmul', [False, True])
def test_forward_positions_equals_the_whole_forward(options, start, step, number, as_matmul):
    sola, x = small_sola(**options).double(), torch.randn(3, 6, 23, dtype=torch.float64)
    x.requires_grad_()
    expected = sola(x)[:, :, start::step][:, :, :number].transpose(1, 2)
    got = sola.forward_positions(x, start, step, number, as_matmul)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(expected)
    inputs = [x, *sola.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad((got * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_forward_positions_outside_the_window():
    with pytest.raises(ValueError, match='position 24 is outside a window of 23 snippets'):
        small_sola().forward_positions(torch.zeros(1, 6, 23), 4, 4, 6)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(in_channels=None), 'SoLa needs in_channels'),
        (dict(kernel_sizes=(4, 1)), r'two odd kernel_sizes .* got kernel_sizes=\(4, 1\)'),
        (dict(kernel_sizes=(5,)), 'two odd kernel_sizes'),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        SoLa(**{'in_channels': 6, **options})


def test_wrong_number_of_channels():
    with pytest.raises(ValueError, match=r'expects features \(N, 6, T\), got \(2, 5, 7\)'):
        small_sola()(torch.zeros(2, 5, 7))


def test_frozen_is_not_trained():
    assert not any(p.requires_grad for p in small_sola(frozen=True).parameters())
    assert all(p.requires_grad for p in small_sola().parameters())


def test_checkpoint_round_trip(tmp_path):
    sola, path = small_sola(kernel_sizes=(3, 1), dilations=(2, 1)), tmp_path / 'sub' / 'sola.pth'
    save_sola(path, sola, meta=dict(losses=[1.5, 0.5]))
    assert read_sola(path)['meta'] == dict(losses=[1.5, 0.5])
    again, x = build_sola(path, frozen=True), torch.randn(2, 6, 11)
    assert torch.equal(again(x), sola(x)) and again.frozen and again.settings == sola.settings
    pretrained = SoLa(
        in_channels=6,
        hidden_channels=4,
        kernel_sizes=(3, 1),
        dilations=(2, 1),
        init_cfg=dict(type='Pretrained', checkpoint=str(path)),
    )
    pretrained.init_weights()
    assert torch.equal(pretrained(x), sola(x))


@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.neck.'])
def test_reads_the_authors_checkpoints(tmp_path, prefix):
    sola, path = small_sola(), tmp_path / 'authors.pth'
    state = {f'{prefix}{key}': value for key, value in sola.state_dict().items()}
    torch.save(dict(state_dict=dict(state, **{'other.weight': torch.zeros(3)})), path)
    x = torch.randn(1, 6, 5)
    assert torch.equal(build_sola(path)(x), sola(x))


class TestBadCheckpoints:
    """Each bad checkpoint has a message that says what to do, and leaves the neck as it was."""

    def test_another_size(self, tmp_path):
        path, neck = tmp_path / 'sola.pth', SoLa(in_channels=6, hidden_channels=8)
        save_sola(path, small_sola(kernel_sizes=(3, 1)))
        before = {key: value.clone() for key, value in neck.state_dict().items()}
        with pytest.raises(
            ValueError,
            match=(
                r'conv_network.0.weight: \(4, 6, 3\), expected \(8, 6, 5\).*fits neck=dict\('
                r"type='SoLa', in_channels=6, hidden_channels=4, kernel_sizes=\(3, 1\)"
            ),
        ):
            load_sola_weights(neck, path)
        assert all(torch.equal(before[key], value) for key, value in neck.state_dict().items())

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'):
            build_sola(tmp_path / 'nowhere.pth')

    def test_truncated_file(self, tmp_path):
        path = tmp_path / 'sola.pth'
        save_sola(path, small_sola())
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(
            ValueError, match='cannot read the SoLa checkpoint .*Is the file complete'
        ):
            build_sola(path)

    def test_no_sola_inside(self, tmp_path):
        torch.save(dict(state_dict=dict(weight=torch.zeros(1))), tmp_path / 'other.pth')
        with pytest.raises(ValueError, match='weights of 0 SoLa necks, expected one'):
            build_sola(tmp_path / 'other.pth')

    def test_code_is_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / 'written'), 'w'))

        torch.save(dict(state_dict=Evil()), tmp_path / 'evil.pth')
        with pytest.raises(ValueError, match='cannot read the SoLa checkpoint'):
            build_sola(tmp_path / 'evil.pth')
        assert not (tmp_path / 'written').exists()


def test_smoothing_is_the_mean_of_what_there_is():
    x, neck = torch.randn(2, 3, 8), TemporalSmoothing(kernel_size=5)
    mask = torch.tensor([[True] * 8, [True] * 5 + [False] * 3])
    y = neck(x, mask)
    for video, length in enumerate((8, 5)):
        for t in range(length):
            expected = x[video, :, max(0, t - 2) : min(length, t + 3)].mean(1)
            torch.testing.assert_close(y[video, :, t], expected)
    assert (y[1, :, 5:] == 0).all()
    with pytest.raises(ValueError, match='odd kernel_size, got 4'):
        TemporalSmoothing(kernel_size=4)


def test_standardization_uses_real_snippets_only():
    torch.manual_seed(0)
    x, neck = 5 + 3 * torch.randn(2, 4, 50), Standardization(in_channels=4)
    mask = torch.ones(2, 50, dtype=torch.bool)
    mask[1, 30:] = False
    x[1, :, 30:] = 1e6
    y = neck(x, mask)
    real = torch.cat([y[0], y[1, :, :30]], 1)
    torch.testing.assert_close(real.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(real.var(1, correction=0), torch.ones(4), atol=1e-3, rtol=0)
    assert (y[1, :, 30:] == 0).all()
    neck.eval()  # one batch of training: its own statistics (variance with n - 1)
    torch.testing.assert_close(neck(x, mask), y, rtol=2e-2, atol=2e-2)
    assert not list(neck.parameters())
    with pytest.raises(ValueError, match='Standardization needs in_channels'):
        Standardization()


def test_standardize_puts_a_standardization_before_the_network(tmp_path):
    sola = small_sola(standardize=True)
    assert set(small_sola().state_dict()) < set(sola.state_dict())
    x = 5 + 3 * torch.randn(2, 6, 30)
    mask = torch.arange(30) < torch.tensor([[30], [20]])
    sola(x, mask)  # one training batch gives the statistics
    sola.eval()
    plain, norm = small_sola(), sola.standardization
    plain.load_state_dict(dict(sola.state_dict()), strict=False)  # without the record
    torch.testing.assert_close(sola(x, mask), plain(norm(x, mask), mask))
    torch.testing.assert_close(
        sola.forward_positions(x, 4, 2, 8), sola(x)[:, :, 4:20:2].transpose(1, 2)
    )
    save_sola(tmp_path / 'sola.pth', sola)
    rebuilt = build_sola(tmp_path / 'sola.pth', frozen=True)
    for mode in (False, True):  # a frozen SoLa keeps its statistics in training
        torch.testing.assert_close(rebuilt.train(mode)(x, mask), sola(x, mask))
    with pytest.raises(ValueError, match='standardize=True'):
        load_sola_weights(small_sola(), tmp_path / 'sola.pth')


@pytest.mark.parametrize('frozen', [False, True])
def test_statistics_of_pretraining_are_kept_by_a_frozen_sola_only(tmp_path, frozen):
    other = small_sola(standardize=True)
    for _ in range(100):
        other(5 + 3 * torch.randn(2, 6, 30))
    save_sola(tmp_path / 'sola.pth', other)
    sola = small_sola(
        standardize=True,
        frozen=frozen,
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'sola.pth')),
    )
    sola.init_weights()
    mean = sola.standardization.norm.running_mean
    torch.testing.assert_close(mean, other.standardization.norm.running_mean)
    x = torch.randn(2, 6, 30)
    sola(x)  # one batch of the head's training
    expected = other.standardization.norm.running_mean if frozen else x.mean((0, 2))
    torch.testing.assert_close(mean, expected)
