# Similarity matching that ends where a linear probe is best, on development videos of real video.
# The probe is fitted to every second training video of the fold, and scored on the others.
_base_ = '../_base_/studies/real_video_groups.py'
title = 'Early stopping by the linear probe, on development videos'

# Set → folder, channels and seconds of a snippet, and how the ids of its videos end.
_probed = {
    '50 Salads': ('50salads_svm', 18, 1.0),
    'GTEA': ('gtea_svm', 11, 1 / 3),
    'UR Fall': ('urfd', 1280, 1 / 15),
    'UTKinect': ('utkinect', 120, 1 / 15),
}


def _half(name, features, digits):
    folder, channels, stride = _probed[name]
    videos = features.get('train_dataloader.dataset.features.videos')
    subset = features.get('train_dataloader.dataset.features.subset')
    return dict(
        type='TALFeatureDataset',
        data_root=f'data/real/{folder}/',
        ann_file='annotations.json',
        data_prefix=dict(features='features'),
        layout='TC',
        feature_offset=0.0,
        feat_dim=channels,
        feature_stride=stride,
        subset=subset,
        videos=[*([videos] if isinstance(videos, str) else videos), f'*[{digits}]'],
        test_mode=True,
    )


def _stopped(name, fold):
    options = fold['pretrain_options']
    probe = dict(
        type='LinearProbeHook',
        train=_half(name, options, '02468'),
        test=_half(name, options, '13579'),
        interval=1,
        keep_best='balanced_accuracy',
    )
    return dict(
        fold,
        pretrain_options={**options, 'custom_hooks': [dict(type='ProgressBarHook'), probe]},
    )


factors = dict(
    experiment={
        group: dict(
            shared,
            folds={
                key: _stopped(group.split(', ')[0], fold) for key, fold in shared['folds'].items()
            },
        )
        for group, shared in _base_._groups['development'].items()
    },
    method={
        'raw features': _base_._controls['raw features'],
        'frozen': _base_._recipes['the paper: raw, frozen'],
        'gate reset': _base_._recipes['raw, gate reset'],
    },
)
baseline = dict(_delete_=True, method='raw features')
summaries = {'all': '*', **_base_._of_sets, **_base_._of_heads}
