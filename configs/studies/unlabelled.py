# Amount of unlabelled data: so many of the 56 training streams, always 2,500 iterations.
_base_ = '../_base_/studies/watch.py'
title = 'Amount of unlabelled data'

factors = dict(streams={
    str(number): dict(pretrain_options={
        'train_dataloader.dataset.features.indices': number,
        'train_dataloader.sampler.windows_per_video': 57 * 56 // number,
    })
    for number in (56, 28, 14, 7)
})
baseline = dict(streams='56')
