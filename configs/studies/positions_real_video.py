# The same on development videos of real video.
_base_ = ['../_base_/studies/recipes.py', '../_base_/studies/real_video_choices.py']
title = 'Sixteen positions, on development videos'

factors = dict(
    experiment={
        f'{name}, {head}': dict(
            head=config,
            pretrain=of_set['pretrain'],
            seeds=of_set['seeds']['development'],
            head_options=_base_._schedules[_base_._choices[head]],
            folds=_base_._folds['development'][name],
        )
        for name, of_set in _base_._sets.items()
        for head, config in of_set['heads'].items()
    },
    method={
        name: {**_base_._methods, **_base_._of_16_positions}[name]
        for name in (
            'raw features',
            'SoLa, frozen',
            'SoLa, frozen, 16 positions',
            'SoLa, gate reset',
            'SoLa, gate reset, 16 positions',
            'SoLa, unified',
        )
    },
)
baseline = dict(_delete_=True, method='raw features')
summaries = {'all': '*', **_base_._of_sets, **_base_._of_heads}
