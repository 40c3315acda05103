# Settings of the heads for real_video.py, on raw features: the trials of a fold read its training
# videos only, some of which validate. Their choice is kept by --choose, see docs/studies.md.
_base_ = '../_base_/studies/real_video.py'
title = 'Real video: settings of the heads, on validation videos'

factors = dict(
    experiment={
        f'{name}, {head}': dict(
            head=config,
            folds=_base_._inner_folds[name],
        )
        for name, of_set in _base_._sets.items()
        for head, config in of_set['heads'].items()
    },
    setting={name: dict(head_options=changes) for name, changes in _base_._candidates.items()},
)
baseline = dict(_delete_=True, setting='60 epochs, learning rate 0.001')
seeds = 1
