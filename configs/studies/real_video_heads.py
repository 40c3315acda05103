# How long is long enough for a head, on raw features? Development videos of real_video.py; see
# docs/studies.md.
_base_ = '../_base_/studies/real_video.py'
title = 'Real video: length of the schedules, on development videos'

factors = dict(
    experiment={
        f'{name}, {head}': dict(
            head=config,
            seeds=of_set['seeds']['development'],
            folds=_base_._folds['development'][name],
        )
        for name, of_set in _base_._sets.items()
        for head, config in of_set['heads'].items()
    },
    epochs={name: dict(head_options=_base_._schedules[name]) for name in ('60', '90')},
)
baseline = dict(_delete_=True, epochs='60')
summaries = _base_._of_heads
rule = 'long enough'
