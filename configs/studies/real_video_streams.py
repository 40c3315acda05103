# Other streams of features of real video, with ActionFormer on the test folds: SoLa matched on
# another set, whose features are projected to the channels of this one, and features that are fused
# with their differences. docs/real_video.md says how the folders "differences" and "projected" are
# made.
_base_ = '../_base_/studies/real_video_groups.py'
title = 'Fused features and transfer, on real video'

_fused = ['features', 'differences']


def _of_set(name, **changes):
    return {**_base_._groups['tests'][f'{name}, ActionFormer'], **changes}


def _matched_on(other, name, channels):
    """Of the other set all videos are read."""
    return _of_set(
        name,
        pretrain=_base_._sets[other]['pretrain'],
        pretrain_options={
            'model.neck.in_channels': channels,
            'train_dataloader.dataset.features.data_prefix.features': 'projected',
            'train_dataloader.dataset.features.feat_dim': channels,
            'train_dataloader.dataset.features.videos': None,
        },
        folds={
            fold: dict(head_options=options['head_options'])
            for fold, options in _base_._folds['tests'][name].items()
        },
    )


factors = dict(
    experiment={
        '50 Salads, matched on GTEA': _matched_on('GTEA', '50 Salads', 18),
        'GTEA, matched on 50 Salads': _matched_on('50 Salads', 'GTEA', 11),
        '50 Salads, fused with differences': _of_set(
            '50 Salads',
            head_options={
                **_base_._schedules[_base_._choices['ActionFormer']],
                'model.feat_dim': 36,
                **{
                    f'{loader}_dataloader.dataset.{key}': value
                    for loader in ('train', 'test')
                    for key, value in {'data_prefix.features': _fused, 'feat_dim': 36}.items()
                },
            },
            pretrain_options={
                'model.neck.in_channels': 36,
                'train_dataloader.dataset.features.data_prefix.features': _fused,
                'train_dataloader.dataset.features.feat_dim': 36,
            },
        ),
    },
    method={
        name: {**_base_._controls, **_base_._recipes}[name]
        for name in ('raw features', 'SoLa, unified', 'the paper: raw, frozen', 'raw, gate reset')
    },
)
baseline = dict(_delete_=True, method='raw features')
