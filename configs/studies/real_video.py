# Does SoLa help on real video? Every head on four sets, fold by fold: the recipe that was chosen on
# development videos, against raw features, the better of the baselines that cost nothing, and the
# same network without label-free training. docs/studies.md says what is fixed before the test folds
# are read.
_base_ = '../_base_/studies/real_video_groups.py'
title = 'Real video'

# By the rounds of recipes.py, see docs/studies.md.
_recipe = 'raw, gate reset'
factors = dict(
    experiment=_base_._groups['tests'],
    method={
        name: {**_base_._controls, **_base_._recipes}[name]
        for name in (
            'raw features',
            'mean of 3 snippets',
            'the paper: raw, frozen',
            _recipe,
            'SoLa, unified',
        )
    },
)
baseline = dict(_delete_=True, method='raw features')
headline = dict(row=_recipe, against=['raw features', 'mean of 3 snippets', 'SoLa, unified'])
summaries = {'all': '*', **_base_._of_sets, **_base_._of_heads}
