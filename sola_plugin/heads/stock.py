"""mmaction2's TEM and TCANet with neck support."""

from __future__ import annotations

from mmaction.models.localizers.bsn import TEM as StockTEM
from mmaction.models.localizers.tcanet import TCANet as StockTCANet
from mmaction.registry import MODELS
from torch import Tensor

from sola_plugin.heads.shared.neck_support import NeckMixin


@MODELS.register_module(force=True)
class TEM(NeckMixin, StockTEM):
    """Temporal Evaluation Module (https://arxiv.org/abs/1806.02964), mmaction2's, with a neck.

    Args:
        temporal_dim: Number of cells T; features of another length are resized after the neck.
        *args: See mmaction2's ``TEM``.
        neck: Config of the neck, ``dict(type='SoLa')``.
        similarity_matching: See :meth:`NeckMixin.add_neck`.
        **kwargs: See mmaction2's ``TEM``.
    """

    feat_dim: int

    def __init__(
        self,
        temporal_dim: int,
        *args,
        neck: dict | None = None,
        similarity_matching: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(temporal_dim, *args, **kwargs)
        self.add_neck(neck, self.feat_dim, temporal_dim, similarity_matching)


@MODELS.register_module(force=True)
class TCANet(NeckMixin, StockTCANet):
    """mmaction2's Temporal Context Aggregation Network with a neck.

    The paper: https://arxiv.org/abs/2103.13141.

    Args:
        feat_dim: Channels of the features.
        se_sample_num: See mmaction2's ``TCANet``, as for the other arguments.
        action_sample_num: See there.
        temporal_dim: Number of cells T; features of another length are resized after the neck.
        neck: Config of the neck, ``dict(type='SoLa')``.
        similarity_matching: See :meth:`NeckMixin.add_neck`.
        **kwargs: See mmaction2's ``TCANet``.
    """

    def __init__(
        self,
        feat_dim: int = 2304,
        se_sample_num: int = 32,
        action_sample_num: int = 64,
        temporal_dim: int = 100,
        *args,
        neck: dict | None = None,
        similarity_matching: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(feat_dim, se_sample_num, action_sample_num, temporal_dim, *args, **kwargs)
        self.add_neck(neck, feat_dim, temporal_dim, similarity_matching)

    def predict(self, batch_inputs: Tensor, batch_data_samples: list, **kwargs) -> list[dict]:
        """Proposals of a batch, one video after the other: mmaction2 mixes those of a batch.

        Args:
            batch_inputs: ``(N, C, T)``.
            batch_data_samples: Data samples with ``proposals``.

        Returns:
            For each video ``dict(video_name=str, proposal_list=[dict(score, segment)])``, seconds.
        """
        return [
            result
            for index in range(len(batch_inputs))
            for result in super(TCANet, self).predict(
                batch_inputs[index : index + 1], batch_data_samples[index : index + 1], **kwargs
            )
        ]
