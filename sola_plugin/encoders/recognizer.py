"""Any mmaction2 recognizer as a frozen snippet encoder."""

from __future__ import annotations

from collections.abc import Sequence

from mmaction.models.recognizers.base import BaseRecognizer
from torch import Tensor, nn

from .image import FrameTransform, type_name, view_of

#: Snippet of recognizers that do not say how many consecutive frames they look at.
_USUAL_LENGTH = 16


class RecognizerEncoder(nn.Module):
    """A recognizer without its classifier: its feature is what the classifier would have seen.

    The one linear layer of the head that gives class scores is replaced by the identity. What the
    head does before it (average pooling, SlowFast's concatenation, the mean over the frames of TSN
    and TSM) stays, so that the feature is the pooled output of the backbone.

    The network sees ``num_frames`` frames of a snippet, evenly spaced around its centre:
    ``clip_len`` of the pipeline for networks of clips, ``num_segments`` for TSM and its like, the
    frame in the centre for TSN.

    Wrap a model before its weights are loaded: it no longer matters how many classes they were
    trained on.

    Args:
        model: A recognizer of RGB frames.
        pipeline: Its test pipeline; it tells how a frame is resized and cropped (one view, see
            :func:`~sola_plugin.encoders.image.view_of`) and how many frames are seen.

    Attributes:
        num_frames: Frames of a snippet that the network sees.
        prepare: Applied to each frame, uint8 ``(H, W, 3)`` to ``(H', W', 3)``.
        snippet_length: Frames that a clip spans by the pipeline, ``clip_len * frame_interval``; 16
            where the pipeline looks at frames of a whole video.

    Raises:
        ValueError: The head, the pipeline or its input is of a kind that is not known here.
    """

    def __init__(self, model: BaseRecognizer, pipeline: Sequence[dict]) -> None:
        super().__init__()
        _remove_classifier(model)
        self.model = model
        self.prepare = FrameTransform(view_of(pipeline))
        self._takes_clips = _input_format(pipeline) == 'NCTHW'
        sampler = next((step for step in pipeline if 'Sample' in type_name(step)), {})
        clip_length, interval = sampler.get('clip_len', 1), sampler.get('frame_interval')
        self.num_frames: int = clip_length if self._takes_clips else _num_segments(model)
        spans = self._takes_clips and interval is not None
        self.snippet_length = (
            clip_length * interval if spans else max(_USUAL_LENGTH, self.num_frames)
        )

    def to(self, *args, **kwargs) -> RecognizerEncoder:
        """Move it as ``nn.Module.to`` does."""
        self.model.to(
            *args, **kwargs
        )  # mmengine's method, which tells the data preprocessor as well
        return super().to(*args, **kwargs)

    def forward(self, snippets: Tensor) -> Tensor:
        """Encode snippets.

        Args:
            snippets: uint8 RGB ``(N, length, H, W, 3)``, frames that went through :attr:`prepare`.

        Returns:
            ``(N, C)``.

        Raises:
            ValueError: A snippet has fewer frames than the network needs.
        """
        length = snippets.shape[1]
        if length < self.num_frames:
            raise ValueError(
                f'snippets have {length} frames, this recognizer needs {self.num_frames}: take '
                'longer snippets'
            )
        positions = [(2 * i + 1) * length // (2 * self.num_frames) for i in range(self.num_frames)]
        inputs = snippets[:, positions].permute(0, 1, 4, 2, 3)  # (N, T, 3, H, W)
        if self._takes_clips:
            inputs = inputs.transpose(1, 2)[:, None]  # (N, 1, 3, T, H, W)
        data = self.model.data_preprocessor(dict(inputs=list(inputs), data_samples=None))
        return self.model(data['inputs'], mode='tensor', stage='head')


def _remove_classifier(model: BaseRecognizer) -> None:
    if not model.with_cls_head:
        raise ValueError(
            'the recognizer has no cls_head, whose pooling is needed: add the one that it was '
            "trained with, or dict(type='FeatureHead')"
        )
    head = model.cls_head
    if head.num_classes is None:
        return  # mmaction2's FeatureHead has no classifier
    found = [
        name
        for name, layer in head.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == head.num_classes
    ]
    if len(found) != 1:
        raise ValueError(
            f'{type(head).__name__} has {len(found)} linear layers that give {head.num_classes} '
            'class scores, expected one: write an encoder of your own for this recognizer'
        )
    head.set_submodule(found[0], nn.Identity())


def _input_format(pipeline: Sequence[dict]) -> str:
    formats = [step['input_format'] for step in pipeline if type_name(step) == 'FormatShape']
    if len(formats) != 1 or formats[0] not in ('NCHW', 'NCTHW'):
        raise ValueError(
            'expected a test pipeline with one FormatShape, input_format NCHW or NCTHW, got '
            f'{formats}: give the config of a recognizer of RGB videos'
        )
    return formats[0]


def _num_segments(model: BaseRecognizer) -> int:
    return (
        getattr(model.backbone, 'num_segments', None)
        or getattr(model.cls_head, 'num_segments', None)
        or 1
    )
