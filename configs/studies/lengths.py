# How long is long enough for a head, on raw features? Asked on validation streams before anything
# else; real_video_heads.py asks it of real video.
_base_ = '../_base_/studies/watch.py'
title = 'Length of the schedules, on validation streams'
embedded = dict(validation=True)

_heads = {'BMN': 'bmn', 'G-TAD': 'gtad', 'ActionFormer': 'actionformer'}
factors = dict(
    head={name: dict(head=f'../localization/{config}_watch.py') for name, config in _heads.items()},
    epochs={
        name: dict(head_options=_base_._schedules[name]) for name in ('60', '90', '135', '200')
    },
)
baseline = dict(epochs='60')
summaries = {head: head for head in _heads}
rule = 'long enough'
seeds = 3
