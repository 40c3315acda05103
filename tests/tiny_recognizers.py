"""Configs and checkpoints of tiny mmaction2 recognizers with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from mmaction.apis import init_recognizer
from mmengine.config import Config

_TWO_STAGES = dict(
    pretrained=None,
    num_stages=2,
    spatial_strides=(1, 2),
    temporal_strides=(1, 1),
    dilations=(1, 1),
    out_indices=(1,),
    conv1_stride_t=1,
    pool1_stride_t=1,
)
_ONE_STAGE = dict(
    pretrained=None,
    num_stages=1,
    spatial_strides=(2,),
    temporal_strides=(1,),
    dilations=(1,),
    out_indices=(0,),
)
_SLOW = dict(
    type='resnet3d',
    depth=50,
    base_channels=16,
    lateral=True,
    inflate=(0, 0),
    conv1_kernel=(1, 7, 7),
    **_TWO_STAGES,
)
_FAST = dict(
    type='resnet3d',
    depth=50,
    base_channels=4,
    lateral=False,
    inflate=(1, 1),
    conv1_kernel=(5, 7, 7),
    **_TWO_STAGES,
)
#: Name → backbone, head, frames that the network takes.
RECOGNIZERS = {
    'TSN': (
        dict(
            type='ResNet',
            depth=18,
            num_stages=2,
            strides=(1, 2),
            dilations=(1, 1),
            out_indices=(1,),
        ),
        dict(type='TSNHead', in_channels=128),
        1,
    ),
    'TSM': (
        dict(type='MobileNetV2TSM', num_segments=4, widen_factor=0.25),
        dict(type='TSMHead', in_channels=1280, num_segments=4),
        4,
    ),
    'I3D': (
        dict(type='ResNet3d', depth=18, pretrained2d=False, inflate=((1, 1),), **_ONE_STAGE),
        dict(type='I3DHead', in_channels=64),
        4,
    ),
    'SlowOnly': (
        dict(type='ResNet3dSlowOnly', depth=50, inflate=(0,), lateral=False, **_ONE_STAGE),
        dict(type='I3DHead', in_channels=256),
        2,
    ),
    'SlowFast': (
        dict(
            type='ResNet3dSlowFast',
            pretrained=None,
            resample_rate=4,
            speed_ratio=4,
            channel_ratio=4,
            slow_pathway=_SLOW,
            fast_pathway=_FAST,
        ),
        dict(type='SlowFastHead', in_channels=160),
        8,
    ),
    'VideoMAE': (
        dict(
            type='VisionTransformer',
            img_size=32,
            patch_size=16,
            embed_dims=16,
            depth=1,
            num_heads=2,
            mlp_ratio=2,
            num_frames=4,
            qkv_bias=True,
        ),
        dict(type='TimeSformerHead', in_channels=16),
        4,
    ),
    'Swin': (
        dict(
            type='SwinTransformer3D',
            arch=dict(embed_dims=16, depths=[1, 1], num_heads=[1, 2]),
            patch_size=(2, 4, 4),
            window_size=(2, 4, 4),
            out_indices=(1,),
        ),
        dict(type='I3DHead', in_channels=32),
        4,
    ),
}


def write_recognizer(folder: Path, name: str) -> tuple[Path, Path]:
    """Write the config and a checkpoint of one of :data:`RECOGNIZERS`, of 5 classes.

    As in mmaction2's configs, several clips and crops are tested and frames are flipped.
    """
    backbone, head, num_frames = RECOGNIZERS[name]
    flat = name in ('TSN', 'TSM')
    shape = 'NCHW' if flat else 'NCTHW'
    sampler = (
        dict(clip_len=1, num_clips=25)
        if flat
        else dict(clip_len=num_frames, frame_interval=3, num_clips=10)
    )
    pipeline = [
        dict(type='OpenCVInit'),
        dict(type='SampleFrames', test_mode=True, **sampler),
        dict(type='OpenCVDecode'),
        dict(type='Resize', scale=(-1, 40)),
        dict(type='TenCrop' if flat else 'ThreeCrop', crop_size=32),
        dict(type='Flip', flip_ratio=1),
        dict(type='FormatShape', input_format=shape),
        dict(type='PackActionInputs'),
    ]
    cfg = Config(
        dict(
            default_scope='mmaction',
            model=dict(
                type=f'Recognizer{2 if flat else 3}D',
                backbone=backbone,
                cls_head=dict(head, num_classes=5),
                data_preprocessor=dict(
                    type='ActionDataPreprocessor',
                    mean=[120.0, 110.0, 100.0],
                    std=[60.0, 50.0, 40.0],
                    format_shape=shape,
                ),
            ),
            test_dataloader=dict(dataset=dict(type='VideoDataset', pipeline=pipeline)),
        )
    )
    torch.manual_seed(0)
    model = init_recognizer(cfg, device='cpu')
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
        else:  # norms and biases, which start at 0 and 1
            torch.nn.init.normal_(parameter, float(parameter.detach().mean()), 0.1)
    config, checkpoint = folder / f'{name}.py', folder / f'{name}.pth'
    cfg.dump(config)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return config, checkpoint
