# Which way to train SoLa is the best where it is worst? On development videos of real video and
# validation streams of the embedded data; see docs/studies.md.
_base_ = ['../_base_/studies/recipes.py', '../_base_/studies/real_video_choices.py']
title = 'Recipes, on development videos and validation streams'

factors = dict(
    experiment={
        **{
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
        **{
            f'{name}, {head}': dict(
                head=f'../localization/{config}_watch.py',
                pretrain='../pretrain/sola_watch.py',
                seeds=2,
                embedded={**_base_._few_labels, **embedded, 'validation': True},
                head_options=options,
            )
            for name, embedded, options in (
                ('few labels', {}, {}),
                # 60 epochs, as when the recipe was chosen.
                ('all labels', dict(labelled=56), _base_._schedules['60']),
            )
            for head, config in (
                ('BMN', 'bmn'),
                ('G-TAD', 'gtad'),
                ('ActionFormer', 'actionformer'),
            )
        },
    },
    recipe={**_base_._controls, **_base_._recipes},
)
baseline = dict(_delete_=True, recipe='std + SoLa, unified')
summaries = {'all': '*', **_base_._of_sets, **_base_._of_heads}
rule = 'worst case'
