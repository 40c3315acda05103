# What else is asked on real video, of ActionFormer on two sets and their test folds: similarity
# matching beside the head, and on the windows of few videos.
_base_ = '../_base_/studies/real_video_groups.py'
title = 'Auxiliary loss and few unlabelled videos, on real video'

# Cut into as many windows as all videos are.
_few = {
    'pretrain_options': {
        'train_dataloader.dataset.features.indices': 4,
        'train_dataloader.sampler.windows_per_video': 800,
    }
}
_methods = {**_base_._controls, **_base_._recipes}
_frozen, _reset = _methods['the paper: raw, frozen'], _methods['raw, gate reset']
factors = dict(
    experiment={
        name: _base_._groups['tests'][f'{name}, ActionFormer'] for name in ('50 Salads', 'GTEA')
    },
    method={
        'raw features': _methods['raw features'],
        'SoLa, unified': _methods['SoLa, unified'],
        'joint, weight 0.1': _methods['raw, joint, weight 0.1'],
        'frozen': _frozen,
        'frozen, 4 videos': {**_frozen, **_few},
        'gate reset': _reset,
        'gate reset, 4 videos': {**_reset, **_few},
    },
)
baseline = dict(_delete_=True, method='raw features')
