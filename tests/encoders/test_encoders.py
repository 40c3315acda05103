"""Views of frames, and the encoder whose weights come with a package."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope
from sklearn.datasets import load_sample_images

from sola_plugin.encoders import EfficientNetLite0, FrameTransform, RecognizerEncoder, center_view
from sola_plugin.encoders.image import view_of
from tests.tiny_recognizers import RECOGNIZERS


def test_center_view():
    frame = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    small = cv2.resize(frame, (50, 30))
    np.testing.assert_array_equal(FrameTransform(center_view(short_side=30))(frame), small)
    np.testing.assert_array_equal(FrameTransform(center_view(30, 20))(frame), small[5:25, 15:35])
    for crop in (31, 0, -1):
        with pytest.raises(
            ValueError, match=f'0 < crop <= short side, got crop {crop} and short side 30'
        ):
            center_view(30, crop)


@pytest.mark.parametrize('crop', ['CenterCrop', 'ThreeCrop', 'TenCrop'])
def test_the_one_view_of_a_test_pipeline(crop):
    pipeline = [
        dict(type='mmaction.DecordInit'),
        dict(type='SampleFrames', clip_len=8),
        dict(type='DecordDecode'),
        dict(type='Resize', scale=(-1, 256), lazy=True),
        dict(type=crop, crop_size=224),
        dict(type='Flip', flip_ratio=0.5),
        dict(type='Fuse'),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
    assert view_of(pipeline) == [
        dict(type='Resize', scale=(-1, 256), lazy=False),
        dict(type='CenterCrop', crop_size=224),
    ]


def test_unknown_transforms_are_named():
    with pytest.raises(
        ValueError, match="has the transform 'ColorJitter'; expected .*short side and crop"
    ):
        view_of([dict(type='DecordDecode'), dict(type='ColorJitter')])


@pytest.mark.parametrize('formats', [[], ['NCTHW_Heatmap'], ['NCHW', 'NCHW']])
def test_input_formats(formats):
    backbone, head, _ = RECOGNIZERS['TSN']
    with DefaultScope.overwrite_default_scope('mmaction'):
        model = MODELS.build(
            dict(type='Recognizer2D', backbone=backbone, cls_head=dict(head, num_classes=5))
        )
    pipeline = [dict(type='FormatShape', input_format=each) for each in formats]
    with pytest.raises(ValueError, match='expected a test pipeline with one FormatShape, .* got '):
        RecognizerEncoder(model, pipeline)


def test_efficientnet_lite0_knows_what_it_sees():
    """On the two photographs of scikit-learn: a Chinese palace and a flower of the daisy family."""
    encoder = EfficientNetLite0().eval()
    photographs = np.stack([encoder.prepare(image) for image in load_sample_images().images])
    snippets = torch.from_numpy(photographs)[:, None].repeat(1, 3, 1, 1, 1)
    snippets[:, [0, 2]] = 0  # only the frame in the centre is seen
    with torch.inference_mode():
        features = encoder(snippets)
        scores = encoder.network._fc(features)
        images = (torch.from_numpy(photographs).permute(0, 3, 1, 2).float() - 127) / 128
        torch.testing.assert_close(scores, encoder.network(images))
    assert features.shape == (2, 1280) and features.min() >= 0
    assert scores.argmax(1).tolist() == [698, 985]  # ImageNet's numbers of palace and daisy


def test_efficientnet_lite0_without_its_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, 'efficientnet_lite_pytorch', None)
    with pytest.raises(ImportError, match=r"not installed: pip install 'sola_plugin\[video\]'"):
        EfficientNetLite0()
