# Amount of unlabelled data: so many of the 56 training streams, always 2,500 iterations.
_base_ = '../_base_/studies/methods.py'
title = 'Amount of unlabelled data'
head = '../localization/bmn_watch.py'

factors = dict(
    method={name: _base_._methods[name] for name in ('SoLa, frozen', 'std + SoLa, fine-tuned')},
    streams={
        '56': dict(),
        **{
            str(number): dict(
                pretrain_options={
                    'train_dataloader.dataset.features.indices': number,
                    'train_dataloader.sampler.windows_per_video': 57 * 56 // number,
                }
            )
            for number in (28, 14, 7)
        },
    },
)
baseline = dict(_delete_=True, streams='56')
