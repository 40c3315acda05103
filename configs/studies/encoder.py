# One encoder or two streams: features of the whole signal, of either sensor, and of both sensors
# joined along the channels, as RGB and flow are. SoLa stands on standardised features; its hidden
# size is always the same.
_base_ = '../_base_/studies/methods.py'
title = 'One encoder or two streams'
embedded = dict(two_stream=True)
pretrain_options = {'model.neck.standardize': True}

_sources = {
    'one encoder (6 signals)': (128, 'features'),
    'accelerometer': (128, 'features_accelerometer'),
    'gyroscope': (128, 'features_gyroscope'),
    'two-stream (fused)': (256, ['features_accelerometer', 'features_gyroscope']),
}

factors = dict(
    features={
        name: dict(
            head_options={
                'model.feat_dim': channels,
                'train_dataloader.dataset.data_prefix.features': source,
                'test_dataloader.dataset.data_prefix.features': source,
            },
            pretrain_options={
                'model.neck.in_channels': channels,
                'train_dataloader.dataset.features.data_prefix.features': source,
            },
        )
        for name, (channels, source) in _sources.items()
    },
    neck={
        'raw': dict(head='../localization/bmn_watch.py'),
        'standardised': dict(head='../localization/bmn_watch_standardization.py'),
        'std + SoLa, unified': dict(
            _base_._methods['std + SoLa, unified'], head='../localization/bmn_watch.py'
        ),
        'std + SoLa, frozen': dict(),
        'std + SoLa, fine-tuned': dict(head='../localization/bmn_watch_sola_finetune.py'),
    },
)
baseline = dict(_delete_=True, neck='standardised')
