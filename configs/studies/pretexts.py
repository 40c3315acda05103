# Similarity matching and its rivals on equal terms: the same neck, windows, batches, iterations and learning
# rate. The temporally-sensitive task uses the labels of the labelled streams, the others none.
_base_ = '../_base_/studies/watch.py'
title = 'Similarity matching and other pretext tasks'

_std = {'model.neck.standardize': True}
_tasks = {
    'similarity matching': '../pretrain/sola_watch.py',
    'boundary-sensitive': '../pretrain/boundary_watch.py',
    'pseudo action localization': '../pretrain/pseudo_watch.py',
    'temporally-sensitive (labels)': '../pretrain/temporally_watch.py',
}

factors = dict(pretext={
    'raw features': dict(head='../localization/bmn_watch.py'),
    'mean of 3 snippets': dict(head='../localization/bmn_watch_smoothing.py'),
    'standardised': dict(head='../localization/bmn_watch_standardization.py'),
    **{name: dict(pretrain=config) for name, config in _tasks.items()},
    **{f'std + {name}': dict(pretrain=config, pretrain_options=_std) for name, config in _tasks.items()},
})
baseline = dict(pretext='standardised')
