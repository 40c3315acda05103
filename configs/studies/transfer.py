# Where SoLa was pretrained: on the data set's own training streams, on the streams of another data
# set (other people, other exercises, the same encoder), or on both; always 2,500 iterations, on
# standardised features. "unified": the same network without label-free training.
_base_ = '../_base_/studies/methods.py'
title = 'Pretraining on another data set'
embedded = dict(foreign=56)

_subset = 'train_dataloader.dataset.features.subset'
_pretraining = {
    'own streams (56)': _base_._std,
    'foreign streams (56)': {**_base_._std, _subset: ['foreign']},
    # 112 streams * 7 windows = 25 iterations an epoch.
    'both (112)': {
        **_base_._std,
        _subset: ['training', 'unlabelled', 'foreign'],
        'train_dataloader.sampler.windows_per_video': 7,
        'train_cfg.max_epochs': 100,
    },
}

factors = dict(
    pretraining={
        'standardised, no SoLa': dict(head='../localization/bmn_watch_standardization.py'),
        'unified': dict(
            _base_._methods['std + SoLa, unified'], head='../localization/bmn_watch.py'
        ),
        **{
            f'{name}, frozen': dict(pretrain_options=options)
            for name, options in _pretraining.items()
        },
        **{
            f'{name}, fine-tuned': dict(
                head='../localization/bmn_watch_sola_finetune.py', pretrain_options=options
            )
            for name, options in _pretraining.items()
        },
    }
)
baseline = dict(_delete_=True, pretraining='standardised, no SoLa')
