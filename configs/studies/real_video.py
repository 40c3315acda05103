# Does SoLa help on real video? Every head and method on four sets, fold by fold.
# docs/studies.md says what is fixed before the test folds are read.
_base_ = ['../_base_/studies/real_video.py', '../_base_/studies/real_video_choices.py']
title = 'Real video'

factors = dict(
    experiment={
        f'{name}, {head}': dict(
            head=config,
            pretrain=of_set['pretrain'],
            seeds=of_set['seeds']['tests'],
            head_options=_base_._schedules[_base_._choices[head]],
            folds=_base_._folds['tests'][name],
        )
        for name, of_set in _base_._sets.items()
        for head, config in of_set['heads'].items()
    },
    method=_base_._methods,
)
baseline = dict(method='raw features')
summaries = {'all': '*', **_base_._of_sets, **_base_._of_heads}
