"""TEM (the first stage of BSN) with a neck."""

from __future__ import annotations

from mmaction.models.localizers.bsn import TEM as StockTEM
from mmaction.registry import MODELS

from .neck_mixin import NeckMixin


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
