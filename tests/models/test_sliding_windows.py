"""Long videos in localizers of a fixed temporal size."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.structures import InstanceData

from sola_plugin.models.localizers import Localizer, NeckMixin
from sola_plugin.models.localizers.sliding_windows import SlidingWindows
from sola_plugin.models.postprocessing import gaussian_decay
from tests.conftest import CHANNELS, TINY_BMN

DECAY = gaussian_decay(0.3)
NMS = dict(soft_nms_low_threshold=0., soft_nms_high_threshold=0.)


def make_sample(length: int, segments, name: str = 'v_0') -> ActionDataSample:
    """A video of half a second a snippet, from 3 s on; segments in snippets."""
    sample = ActionDataSample(metainfo=dict(
        video_name=name, feature_span=(3., 3. + length / 2), duration=2.5 + length / 2))
    boxes = torch.tensor(segments, dtype=torch.float64).reshape(-1, 2) / length
    sample.gt_instances = InstanceData(gt_bbox=boxes, gt_labels=torch.arange(len(boxes)))
    return sample


class HighSnippets(NeckMixin, Localizer):
    """Proposes every snippet of a window whose feature is positive, with the feature as the score."""

    soft_nms_alpha, soft_nms_low_threshold, soft_nms_high_threshold = .01, 0., 0.
    post_process_top_k, feature_extraction_interval = 20, 16

    def __init__(self, **windows) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.add_neck(None, 1, 8, windows=windows)

    def predict(self, inputs, data_samples):
        self.sizes.append(len(inputs))
        results = []
        for video, sample in zip(inputs, data_samples):
            begin, end = sample.metainfo['feature_span']
            step = (end - begin) / video.shape[1]
            results.append(dict(video_name=sample.metainfo['video_name'], proposal_list=[
                dict(segment=[begin + i * step, begin + (i + 1) * step], score=float(video[0, i]))
                for i in torch.nonzero(video[0]).flatten().tolist()]))
        return results


@pytest.mark.parametrize(('total', 'starts'), [
    (8, [0]), (9, [0, 1]), (12, [0, 4]), (21, [0, 4, 8, 12, 13]), (5, [0])])
def test_windows_cover_the_video(total, starts):
    video = torch.arange(1., total + 1)[None]
    found, windows = SlidingWindows(8, 4, DECAY).cut(video)
    assert found == starts and windows.shape == (len(starts), 1, 8)
    for start, window in zip(starts, windows):
        expected = list(range(start + 1, min(start + 8, total) + 1))
        assert window[0].tolist() == expected + [0] * (8 - len(expected))


def test_proposals_of_overlapping_windows_come_once():
    video = torch.zeros(1, 21)
    video[0, 3], video[0, 10], video[0, 20] = .5, .9, .7
    model = HighSnippets(stride=4, batch_size=2)
    result, other = model([video, video[:, :6]], [make_sample(21, []), make_sample(6, [], 'v_1')], 'predict')
    best = [p for p in result['proposal_list'] if p['score'] > 1e-6]
    assert [p['score'] for p in best] == pytest.approx([.9, .7, .5])
    assert [p['segment'] for p in best] == [[8., 8.5], [13., 13.5], [4.5, 5.]]
    assert other == dict(video_name='v_1', proposal_list=[dict(score=.5, segment=[4.5, 5.])])
    assert model.sizes == [2, 2, 1, 1]


def test_truth_of_the_windows():
    sample = make_sample(20, [[1, 3], [6, 10], [0, 18], [14, 19]])
    videos, samples = SlidingWindows(8, 4, DECAY, min_coverage=0.9).training_windows(
        [torch.zeros(1, 20)], [sample])
    # [6, 10] is whole in the window from 4 only, and no window holds 0.9 of [0, 18].
    assert [s.gt_instances.gt_labels.tolist() for s in samples] == [[0], [1], [3]]
    boxes = [s.gt_instances.gt_bbox[0].tolist() for s in samples]
    assert boxes == [pytest.approx(b) for b in ([1 / 8, 3 / 8], [2 / 8, 6 / 8], [2 / 8, 7 / 8])]
    assert len(videos) == 3 and len(sample.gt_instances) == 4


def test_cut_actions_and_no_actions():
    windows = SlidingWindows(8, 4, DECAY, min_coverage=0.5)
    _, samples = windows.training_windows([torch.zeros(1, 12)], [make_sample(12, [[6, 12]])])
    assert [s.gt_instances.gt_bbox[0].tolist() for s in samples] == [
        pytest.approx([2 / 8, 1])]  # a third is in the first window
    videos, samples = windows.training_windows([torch.zeros(1, 12)], [make_sample(12, [])])
    assert len(videos) == len(samples) == 1 and not len(samples[0].gt_instances)


def test_bmn_on_a_video_of_one_window_is_bmn():
    torch.manual_seed(0)
    plain = MODELS.build({**TINY_BMN, **NMS}).eval()
    model = MODELS.build({**TINY_BMN, **NMS, 'windows': dict(stride=10)}).eval()
    model.load_state_dict(plain.state_dict())
    video, sample = torch.randn(CHANNELS, 20), make_sample(20, [[2, 9]])
    for a, b in zip(plain([video]), model([video])):
        assert torch.equal(a, b)
    losses = []
    for bmn in (plain, model):
        torch.manual_seed(1)  # the loss draws cells
        losses.append(bmn([video], [sample], 'loss')['loss'])
    assert torch.equal(*losses)
    with torch.no_grad():
        expected, = plain([video], [sample], 'predict')
        got, = model([video], [sample], 'predict')
    assert len(expected['proposal_list']) == len(got['proposal_list']) == 20
    for a, b in zip(expected['proposal_list'], got['proposal_list']):
        assert a['score'] == pytest.approx(b['score']) and a['segment'] == b['segment']


def test_the_neck_sees_the_whole_video():
    torch.manual_seed(0)
    model = MODELS.build({**TINY_BMN, 'windows': dict(stride=10),
                          'neck': dict(type='TemporalSmoothing')})
    video = torch.randn(CHANNELS, 45)
    features = model.extract_features([video], None)
    torch.testing.assert_close(features[0], model.neck(video[None])[0])
    maps = model([video], None, 'tensor')
    assert maps[0].shape[0] == 4  # windows from 0, 10, 20 and 25
    sample = make_sample(45, [[4, 12], [30, 41]])
    with torch.no_grad():
        result, = model([video], [sample], 'predict')
    segments = np.array([p['segment'] for p in result['proposal_list']])
    assert segments.min() >= 3 and segments.max() <= 25 and segments[:, 1].max() > 18
    loss = model([video], [sample], 'loss')['loss']
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize('stride', [0, 9])
def test_bad_stride(stride):
    with pytest.raises(ValueError, match=f'stride={stride} must be between 1 and the length of a window, 8'):
        SlidingWindows(8, stride, DECAY)
