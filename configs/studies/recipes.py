# Which way to train SoLa is the best where it is worst? On development videos of real video and
# validation streams of the embedded data; see docs/studies.md.
_base_ = '../_base_/studies/real_video_groups.py'
title = 'Recipes, on development videos and validation streams'

factors = dict(
    experiment={
        **_base_._groups['development'],
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
