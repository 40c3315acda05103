"""Converted weights against slow references on the published ones.

Shapes and names were read in the public code, see tests/published_weights.py. The differences that
options bridge are seen without them.
"""

from __future__ import annotations

import pytest
import torch
from mmaction.registry import MODELS

from sola_plugin.commands.published import KINDS
from sola_plugin.heads.actionformer.padding import PublishedPadding
from sola_plugin.heads.shared.published import Weights
from tests import published_references as references
from tests import published_weights as published

#: Shorter than in training, one cell shorter, as long, longer, and not a multiple of anything.
LENGTHS = [1, 5, 23, 24, 25, 39]
WINDOWS = [5, 5, -1]
LENGTH = 24


def doubled(state: dict) -> dict:
    return {name: value.double() for name, value in state.items()}


def converted(kind: str, state: dict, **options) -> torch.nn.Module:
    done = KINDS[kind].convert(Weights(state, kind))
    config = {**done.model, **options}
    if 'pyramid' in options:
        config['pyramid'] = {**done.model['pyramid'], **options['pyramid']}
    model = MODELS.build(config).double().eval()
    model.load_state_dict({name: value.double() for name, value in done.state_dict.items()})
    return model


def actionformer(kind: str, state: dict, padding=True, encoding=False, **options):
    code = 'opentad' if kind.endswith('opentad') else 'authors'
    pyramid = dict(num_heads=2, windows=[None if w == -1 else w for w in WINDOWS])
    if encoding:
        pyramid.update(position_encoding=True, position_length=LENGTH if padding else None)
    padding = dict(code=code, length=LENGTH) if padding else None
    return converted(
        kind, state, classes=('jump', 'run'), pyramid=pyramid, padding=padding, **options
    )


def reference_of(kind: str, state: dict, encoding: bool):
    return references.PublishedActionFormer(
        doubled(state), kind.endswith('opentad'), 2, WINDOWS, LENGTH, encoding
    )


def outputs(model, inputs) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and distances of the real points, of each video of a batch."""
    with torch.no_grad():
        logits, distances, mask, _ = model._forward(inputs)
    return [(a[m], b[m]) for a, b, m in zip(logits, distances, mask)]


def videos(lengths=LENGTHS) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(published.FEATURES, n, dtype=torch.float64) for n in lengths]


STATES = {
    'actionformer': published.authors_actionformer,
    'actionformer-opentad': published.opentad_actionformer,
}


@pytest.mark.parametrize(
    ('state', 'number'),
    [
        # Of the authors' ActionFormer for THUMOS14, and what is said in test_gtad.py.
        (dict(c=512, stem=2, branch=5, classes=20, features=2048), 29_251_612),
        (dict(c=256, samples=36, features=400, wide=512, narrow=128), 5_563_268),
        (dict(c=256, samples=32, kernel=3, features=2048, wide=512, narrow=128), 5_617_540),
    ],
)
def test_the_shapes_have_the_published_numbers_of_parameters(state, number):
    make = published.authors_gtad if 'wide' in state else published.authors_actionformer
    assert sum(value.numel() for value in make(**state).values()) == number


@pytest.mark.parametrize('encoding', [False, True], ids=['', 'positions'])
@pytest.mark.parametrize('stem', [0, 1])
@pytest.mark.parametrize('kind', STATES)
def test_actionformer_computes_what_was_published(kind, stem, encoding):
    state, inputs = STATES[kind](stem=stem), videos()
    model, reference = (
        actionformer(kind, state, encoding=encoding),
        reference_of(kind, state, encoding),
    )
    for video, ours in zip(inputs, outputs(model, inputs)):
        for got, expected in zip(ours, reference(video)):
            # The encodings are single precision, and stretched in another order of operations.
            tolerance = 1e-6 if encoding else 1e-12
            torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('kind', STATES)
def test_gradients_are_those_of_the_published_code(kind):
    """Of the features and of all weights, for a video in a batch with a longer one."""
    state, (video, other) = doubled(STATES[kind]()), videos([21, 30])
    for value in state.values():
        value.requires_grad_()
    model = actionformer(kind, {name: value.detach() for name, value in state.items()})
    ours, theirs = (video.clone().requires_grad_() for _ in range(2))
    reference = references.PublishedActionFormer(
        state, kind.endswith('opentad'), 2, WINDOWS, LENGTH
    )
    expected = reference(theirs)
    logits, distances, mask, _ = model._forward([ours, other])
    torch.manual_seed(1)
    weight = torch.randn(expected[0].shape[0], 4, dtype=torch.float64)
    for outputs_, inputs in (
        (expected, theirs),
        ((logits[0][mask[0]], distances[0][mask[0]]), ours),
    ):
        (torch.cat(outputs_, 1) * weight).sum().backward()
        assert inputs.grad.isfinite().all() and inputs.grad.abs().max() > 0
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-10)
    converted_state = Weights(
        {name: value.grad for name, value in state.items() if value.grad is not None}, kind
    )
    for name, gradient in KINDS[kind].convert(converted_state).state_dict.items():
        if name != 'loss_normalizer':
            got = model.get_parameter(name).grad
            torch.testing.assert_close(got, gradient.double(), rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize('kind', STATES)
def test_without_padding_both_are_the_same(kind):
    """Where a video is as long as the published padding, nothing leaks; elsewhere it does."""
    state = STATES[kind]()
    model, reference = actionformer(kind, state, padding=False), reference_of(kind, state, False)
    for video in videos([24, 32]):
        (ours,) = outputs(model, [video])
        for got, expected in zip(ours, reference(video)):
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    (video,) = videos([21])
    ours, expected = outputs(model, [video])[0][0], reference(video)[0]
    assert (ours - expected).abs().max() > 1e-3


def test_the_codes_leave_different_values_in_the_padding():
    state = STATES['actionformer']()
    one = actionformer('actionformer', state)
    other = actionformer('actionformer', state)
    other.padding = PublishedPadding('opentad', LENGTH, one.pyramid.windows)
    (video,) = videos([21])
    assert not torch.equal(outputs(one, [video])[0][0], outputs(other, [video])[0][0])


def test_eps_of_the_layer_norms_is_seen():
    """Features of small variance: 1e-5 is another network than 1e-6."""
    kind = 'actionformer-opentad'
    state = STATES[kind]()
    for name in ('projection.embed.0.conv.weight', 'rpn_head.cls_convs.0.conv.weight'):
        state[name] = state[name] / 100
    (video,) = videos([24])
    expected = reference_of(kind, state, False)(video)[0]
    wrong = outputs(actionformer(kind, state, norm_eps=1e-5), [video])[0][0]
    assert (wrong - expected).abs().max() > 1e-3
    right = outputs(actionformer(kind, state), [video])[0][0]
    torch.testing.assert_close(right, expected, rtol=1e-10, atol=1e-10)


def test_positions_beyond_the_length_of_training_are_stretched():
    kind = 'actionformer'
    state = STATES[kind]()
    (video,) = videos([32])  # a multiple of what is padded to: nothing leaks
    stretched = reference_of(kind, state, True)(video)[0]
    goes_on = outputs(actionformer(kind, state, padding=False, encoding=True), [video])[0][0]
    assert (goes_on - stretched).abs().max() > 1e-3
    model = actionformer(kind, state, padding=False, encoding=True)
    model.pyramid.position_length = LENGTH
    ours = outputs(model, [video, *videos([11])])[0][0]  # a batch's videos, each by its own length
    torch.testing.assert_close(ours, stretched, rtol=1e-6, atol=1e-6)


def test_actionformer_without_stochastic_depth_has_no_scales():
    state = published.authors_actionformer(drop_path=False)
    model, reference = (
        actionformer('actionformer', state),
        reference_of('actionformer', state, False),
    )
    (video,) = videos([21])
    torch.testing.assert_close(
        outputs(model, [video])[0][0], reference(video)[0], rtol=1e-12, atol=1e-12
    )


def test_the_loss_normalizer_is_kept():
    done = KINDS['actionformer-opentad'].convert(Weights(published.opentad_actionformer(), ''))
    assert done.state_dict['loss_normalizer'] == 250
    assert done.state_dict['loss_normalizer'].dtype == torch.float32


def test_a_padded_batch_trains():
    model = actionformer('actionformer', STATES['actionformer']()).train()
    logits, distances, mask, _ = model._forward(videos([30, 7]))
    (logits[mask].sum() + distances[mask].sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(code='mine', length=24), "padding of 'mine': expected one of"),
        (dict(code='authors', length=20), 'padding to length=20: expected a multiple of 8'),
        (dict(code='authors', length=0), 'padding to length=0'),
    ],
)
def test_bad_padding(options, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(
            dict(
                type='ActionFormer',
                feat_dim=8,
                pyramid=dict(channels=8, num_levels=2, windows=5),
                padding=options,
            )
        )


def test_windows_and_padding_exclude_each_other():
    with pytest.raises(ValueError, match='exclude each other: the published code pads'):
        MODELS.build(
            dict(
                type='ActionFormer',
                feat_dim=8,
                pyramid=dict(channels=8, num_levels=2, windows=5),
                padding=dict(code='authors', length=24),
                windows=dict(length=400),
            )
        )


MAPS = dict(temporal_dim=8, max_duration=5)


def test_bmn_computes_what_was_published():
    state = published.opentad_bmn()
    model = converted(
        'bmn-opentad',
        state,
        **MAPS,
        boundary_ratio=0.5,
        num_samples_per_bin=3,
        soft_nms_alpha=0.4,
        soft_nms_low_threshold=0.5,
        soft_nms_high_threshold=0.9,
        post_process_top_k=20,
    )
    compare_maps(model, lambda x: references.opentad_bmn(doubled(state), x, 5))


@pytest.mark.parametrize('kind', ['gtad', 'gtad-opentad'])
@pytest.mark.parametrize('samples', [(4, 1), (3, 2)])
def test_gtad_computes_what_was_published(kind, samples):
    opentad = kind.endswith('opentad')
    state = (published.opentad_gtad if opentad else published.authors_gtad)()
    model = converted(kind, state, **MAPS, num_samples=samples[0], num_context_samples=samples[1])
    compare_maps(model, lambda x: references.gtad(doubled(state), x, 5, samples, opentad))


def test_gtad_of_three_by_three_convolutions():
    """Of the authors for THUMOS14."""
    state = published.authors_gtad(kernel=3)
    model = converted('gtad', state, **MAPS, num_samples=4, num_context_samples=1)
    compare_maps(model, lambda x: references.gtad(doubled(state), x, 5, (4, 1), False))


def compare_maps(model, reference) -> None:
    inputs = videos([8, 8])
    with torch.no_grad():
        ours = model._forward(torch.stack(inputs))
        for index, video in enumerate(inputs):
            for got, expected in zip(ours, reference(video)):
                # Interpolation weights are single precision.
                torch.testing.assert_close(got[index], expected, rtol=1e-7, atol=1e-7)


def test_without_the_option_gtad_samples_elsewhere():
    state = published.opentad_gtad()
    right, wrong = (
        converted(
            'gtad-opentad', state, **MAPS, num_samples=4, num_context_samples=1, sample_to_end=each
        )
        for each in (True, False)
    )
    x = torch.stack(videos([8]))
    assert (right._forward(x)[0] - wrong._forward(x)[0]).abs().max() > 1e-3
