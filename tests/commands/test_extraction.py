"""Features of one video: equal to mmaction2's own, at the right time."""

from __future__ import annotations

import re

import mmcv
import numpy as np
import pytest
import torch
from mmaction.apis import init_recognizer
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.hub import get_config
from torch import nn

from sola_plugin.commands.extraction.encoding import (
    SnippetSampling,
    VideoError,
    build_encoder,
    build_recognizer_encoder,
    encode_video,
)
from sola_plugin.commands.extraction.folder import ExtractionFolder
from sola_plugin.segments import snippet_centers
from tests.conftest import ROOT, TINY_BMN
from tests.make_videos import SIZE, set_frame_times, write_video
from tests.slow import slow_but
from tests.tiny_recognizers import RECOGNIZERS, write_recognizer

PAGE = (ROOT / 'docs/video.md').read_text(encoding='utf-8')


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    levels = 100 + 80 * np.sin(np.arange(50))
    return write_video(tmp_path_factory.mktemp('videos') / 'v_1.mp4', levels, fps=25)


def brightness(snippets: torch.Tensor) -> torch.Tensor:
    """An encoder: mean and spread of the red channel."""
    red = snippets[..., 0].flatten(1).float()
    return torch.stack([red.mean(1), red.std(1)], dim=1)


@torch.no_grad()
def by_mmaction(config, checkpoint, video, frame_numbers) -> tuple[np.ndarray, np.ndarray]:
    """Pooled backbone output and class scores of one view, by mmaction2's pipeline and
    recognizer."""
    model = init_recognizer(str(config), str(checkpoint), device='cpu')
    shape = model.data_preprocessor.format_shape
    pipeline = Compose(
        [
            dict(type='OpenCVDecode'),
            dict(type='Resize', scale=(-1, 40)),
            dict(type='CenterCrop', crop_size=32),
            dict(type='FormatShape', input_format=shape),
            dict(type='PackActionInputs'),
        ]
    )
    item = pipeline(
        dict(
            video_reader=mmcv.VideoReader(str(video)),
            filename=str(video),
            frame_inds=np.array(frame_numbers),
            num_clips=1,
            clip_len=len(frame_numbers),
            label=0,
        )
    )
    inputs = model.data_preprocessor(pseudo_collate([item]))['inputs']
    maps = model.extract_feat(inputs, stage='backbone')[0]
    pooled = [
        each.flatten(2).mean(2) if each.ndim > 2 else each
        for each in (maps[::-1] if isinstance(maps, tuple) else [maps])
    ]
    return torch.cat(pooled, dim=1).mean(0).numpy(), model(inputs, stage='head')[0].numpy()


@pytest.mark.parametrize('name', slow_but(('TSN', 'SlowFast'), RECOGNIZERS))
def test_features_are_what_the_classifier_of_mmaction_sees(tmp_path, video, name):
    config, checkpoint = write_recognizer(tmp_path, name)
    encoder = build_recognizer_encoder(config, checkpoint)
    num_frames = RECOGNIZERS[name][2]
    assert encoder.num_frames == num_frames
    assert encoder.snippet_length == (16 if name in ('TSN', 'TSM') else num_frames * 3)
    result = encode_video(video, encoder, SnippetSampling(length=12, stride=20), batch_size=2)
    assert result.features.shape == (RECOGNIZERS[name][1]['in_channels'], 2)
    state = torch.load(checkpoint)['state_dict']
    for index, start in enumerate((0, 20)):
        numbers = start + (np.arange(num_frames) * 2 + 1) * 12 // (2 * num_frames)
        pooled, scores = by_mmaction(config, checkpoint, video, numbers)
        feature = result.features[:, index]
        np.testing.assert_allclose(feature, pooled, rtol=1e-3, atol=1e-5)
        classified = (
            state['cls_head.fc_cls.weight'].numpy() @ feature
            + state['cls_head.fc_cls.bias'].numpy()
        )
        np.testing.assert_allclose(classified, scores, rtol=1e-3, atol=1e-4)
    assert np.ptp(result.features, axis=1).max() > 0.01 * np.abs(result.features).max()


@pytest.fixture(scope='module')
def tsn(tmp_path_factory):
    """Config and checkpoint."""
    return write_recognizer(tmp_path_factory.mktemp('tsn'), 'TSN')


def test_batches_and_precision(tsn, video):
    encoder, sampling = build_recognizer_encoder(*tsn), SnippetSampling(4, 3)
    whole = encode_video(video, encoder, sampling, batch_size=100)
    assert whole.features.dtype == np.float32 and whole.features.shape == (128, 16)
    for size in (1, 5):
        np.testing.assert_allclose(
            encode_video(video, encoder, sampling, size).features,
            whole.features,
            rtol=1e-4,
            atol=1e-5,
        )
    half = encode_video(video, encoder, sampling, amp=True).features
    assert 0 < np.abs(half - whole.features).max() < 0.05 * np.abs(whole.features).max()


@pytest.mark.parametrize('name', slow_but(('TSN', 'SlowFast'), RECOGNIZERS))
def test_nothing_stays_on_the_cpu(tmp_path, name):
    """The device without memory refuses tensors of others, as a GPU does."""
    encoder = build_recognizer_encoder(*write_recognizer(tmp_path, name), device='meta')
    vectors = encoder(torch.zeros(2, 12, 32, 32, 3, dtype=torch.uint8, device='meta'))
    assert vectors.device.type == 'meta' and vectors.shape == (
        2,
        RECOGNIZERS[name][1]['in_channels'],
    )


def test_frozen(tsn):
    encoder = build_recognizer_encoder(*tsn)
    assert not encoder.training and not any(weight.requires_grad for weight in encoder.parameters())


@pytest.mark.parametrize('fps', [None, 10, 30])
@pytest.mark.parametrize('variable', [False, True])
def test_an_action_is_found_where_it_was_made(tmp_path, fps, variable):
    """Of a snippet whose centre lies in the action more than half is bright: to within one
    stride."""
    levels = np.full(200, 20.0)
    levels[80:120] = 200
    path = write_video(tmp_path / 'v.mp4', levels, fps=20)
    action, duration = (4.0, 6.0), 10.0
    if variable:
        set_frame_times(path, [(80, 0.025), (40, 0.1), (80, 0.05)])
        action, duration = (2.0, 6.0), 10.0
    result = encode_video(path, brightness, SnippetSampling(length=4, stride=2, fps=fps))
    assert result.duration == pytest.approx(duration, abs=0.05)
    length = result.features.shape[1]
    span = (result.offset, result.offset + length * result.stride)  # as TALFeatureDataset takes it
    centers = snippet_centers(span, length)
    bright = centers[result.features[0] > 110]
    assert len(bright) and np.all(np.diff(np.flatnonzero(result.features[0] > 110)) == 1)
    assert bright[0] == pytest.approx(action[0], abs=1.01 * result.stride)
    assert bright[-1] == pytest.approx(action[1], abs=1.01 * result.stride)


def test_progress_and_short_videos(video):
    seconds = []
    sampling = SnippetSampling(5, 5)
    result = encode_video(video, brightness, sampling, batch_size=4, progress=seconds.append)
    assert seconds == pytest.approx([0.8, 1.6, 2.0]) and result.features.shape == (2, 10)
    with pytest.raises(
        VideoError,
        match='v_1.mp4: expected at least 51 frames for one snippet, '
        'got 2.00 s of 25 frames a second',
    ):
        encode_video(video, brightness, SnippetSampling(51, 1))


def test_frames_are_prepared_by_the_encoder_or_by_the_caller(video):
    class Halved(nn.Module):
        prepare = staticmethod(lambda frame: frame[::2])

        def forward(self, snippets):
            return snippets.new_tensor(snippets.shape[2:4], dtype=torch.float32).expand(
                len(snippets), 2
            )

    encode = Halved()
    own = encode_video(video, encode, SnippetSampling(2, 50))
    assert own.features.T.tolist() == [[SIZE[0] / 2, SIZE[1]]]
    shown = encode_video(video, encode, SnippetSampling(2, 50), prepare=lambda frame: frame[:8, :8])
    assert shown.features.T.tolist() == [[8, 8]]


@pytest.mark.parametrize(
    ('encoder', 'error', 'message'),
    [
        (
            lambda s: s.float().mean((1, 2, 3, 4)),
            ValueError,
            r'gave \(3,\) for 3 snippets \(3, 9, 48, 64, 3\)',
        ),
        (lambda s: s.float(), ValueError, r'expected \(3, channels\)'),
        (
            lambda s: brightness(s) * torch.tensor([[1.0], [torch.nan], [1.0]]),
            VideoError,
            'NaN or Inf in 1 of 3 snippets, the first at 0.9 s: try without mixed precision',
        ),
    ],
)
def test_encoders_that_give_what_they_should_not(video, encoder, error, message):
    with pytest.raises(error, match=message):
        encode_video(video, encoder, SnippetSampling(9, 18))


OWN = """
import torch

class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.))

    def forward(self, snippets):
        return self.scale * snippets.float().mean((1, 2, 3))

def function():
    return lambda snippets: snippets.float().mean((1, 2, 3))

def number():
    return 5
"""


def test_an_encoder_of_ones_own(tmp_path, video, monkeypatch):
    (tmp_path / 'my_encoders.py').write_text(OWN)
    monkeypatch.chdir(tmp_path)
    sampling = SnippetSampling(10, 10)
    module, function = build_encoder('my_encoders:Mean'), build_encoder('my_encoders:function')
    assert not module.training and not module.scale.requires_grad
    np.testing.assert_allclose(
        encode_video(video, module, sampling).features,
        2 * encode_video(video, function, sampling).features,
        rtol=1e-6,
    )
    for name, message in [
        (
            'my_encoders:number',
            ":number': expected a function that returns an nn.Module, got a int",
        ),
        (
            'my_encoders:lost',
            "'my_encoders:lost': expected MODULE:FUNCTION .* has no attribute 'lost'",
        ),
        ('lost:lost', "No module named 'lost'"),
        ('my_encoders', "'my_encoders': expected MODULE:FUNCTION"),
    ]:
        with pytest.raises(ValueError, match=message):
            build_encoder(name)


def test_weights_of_another_classifier_are_welcome(tsn, tmp_path):
    loaded = torch.load(tsn[1])
    other = {
        **loaded['state_dict'],
        'cls_head.fc_cls.weight': torch.zeros(400, 128),
        'more': torch.zeros(1),
    }
    torch.save(dict(state_dict=other), tmp_path / 'other.pth')
    encoder = build_recognizer_encoder(tsn[0], tmp_path / 'other.pth')
    for key, value in encoder.model.state_dict().items():
        assert torch.equal(value, loaded['state_dict'][key])


def test_head_without_a_classifier(tsn, video):
    cfg = Config.fromfile(tsn[0])
    cfg.model.cls_head = dict(type='FeatureHead')
    sampling = SnippetSampling(10, 10)
    np.testing.assert_allclose(
        encode_video(video, build_recognizer_encoder(cfg, tsn[1]), sampling).features,
        encode_video(video, build_recognizer_encoder(*tsn), sampling).features,
        rtol=1e-5,
    )


def test_mmactions_own_configs_by_name(tmp_path):
    name = (
        'mmaction::recognition/tsn/tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb.py'
    )
    with pytest.raises(FileNotFoundError, match='checkpoint .*nowhere.pth does not exist'):
        build_recognizer_encoder(name, tmp_path / 'nowhere.pth')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(model=dict(TINY_BMN, _delete_=True)),
            'expected the config of a recognizer, got a BMN',
        ),
        (dict(test_dataloader=dict(_delete_=True)), 'expected a test_dataloader .*got no pipeline'),
        (
            dict(test_dataloader=dict(dataset=dict(modality='Flow'))),
            "for RGB frames, got modality 'Flow'",
        ),
        (
            dict(model=dict(backbone=dict(depth=34))),
            r'does not fit .*backbone\.layer1\.2\.conv1.*: missing',
        ),
        (dict(model=dict(cls_head=None)), 'the recognizer has no cls_head'),
        (
            dict(
                model=dict(
                    cls_head=dict(
                        type='TRNHead',
                        in_channels=128,
                        num_segments=4,
                        hidden_dim=8,
                        relation_type='TRNMultiScale',
                        num_classes=5,
                        _delete_=True,
                    )
                )
            ),
            'TRNHead has 3 linear layers that give 5 class scores, expected one',
        ),
    ],
)
def test_configs_that_do_not_do(tsn, change, message):
    cfg = Config.fromfile(tsn[0])
    cfg.merge_from_dict(change)
    with pytest.raises(ValueError, match=message):
        build_recognizer_encoder(cfg, tsn[1])


def test_the_table_of_the_docs():
    """Channels, frames and default length of mmaction2's own configs are those that its configs
    say."""
    rows = re.findall(r'\| `(\w+/[\w.-]+\.py)` \| (\d+) \| (\d+) \| (\d+) \|', PAGE)
    assert len(rows) == 10
    for name, *numbers in rows:
        cfg = get_config(f'mmaction::recognition/{name}')
        sampler = cfg.test_dataloader.dataset.pipeline[1]
        frames, span = sampler.clip_len, sampler.clip_len * sampler.frame_interval
        if cfg.model.type == 'Recognizer2D':
            frames, span = (sampler.num_clips if 'TSM' in cfg.model.cls_head.type else 1), 16
        assert [int(number) for number in numbers] == [
            cfg.model.cls_head.in_channels,
            frames,
            span,
        ], name


def test_the_encoder_of_the_docs(tmp_path, monkeypatch, video):
    (code,) = (
        block
        for block in re.findall(r'```python\n(.*?)```', PAGE, re.S)
        if 'my_encoder.py' in block
    )
    (tmp_path / 'my_encoder.py').write_text(code)
    monkeypatch.chdir(tmp_path)
    result = encode_video(video, build_encoder('my_encoder:MeanColour'), SnippetSampling(4, 2))
    assert result.features.shape == (3, 24) and (result.features[2] > result.features[0]).any()


def test_config_without_a_model(tmp_path, tsn):
    (tmp_path / 'empty.py').write_text('a = 1\n')
    with pytest.raises(
        ValueError, match='empty.py: expected the config of a recognizer, got one without'
    ):
        build_recognizer_encoder(tmp_path / 'empty.py', tsn[1])


def test_too_few_frames(tmp_path, video):
    encoder = build_recognizer_encoder(*write_recognizer(tmp_path, 'VideoMAE'))
    with pytest.raises(ValueError, match='snippets have 3 frames, this recognizer needs 4'):
        encode_video(video, encoder, SnippetSampling(3, 1))


def test_two_that_begin_at_the_same_time_with_other_settings(tmp_path):
    """Both find the folder empty; the second to begin sees the first."""
    first, second, same = (
        ExtractionFolder(tmp_path / 'out', dict(fps=fps)) for fps in (25.0, 30.0, 25.0)
    )
    first.begin()
    with pytest.raises(ValueError, match=r'holds features of other settings: fps 25.0, now 30.0'):
        second.begin()
    same.begin()
    assert [path.name for path in (tmp_path / 'out/.extraction').iterdir()] == ['settings.json']
