# Similarity matching and its rivals on equal terms: the same neck, windows, batches, iterations and
# learning rate. The temporally-sensitive task uses the labels of the labelled streams (14: with
# another number its windows_per_video must change), the others none. "unified": without any task.
_base_ = '../_base_/studies/methods.py'
title = 'Similarity matching and other pretext tasks'
head = '../localization/bmn_watch.py'

_tasks = {
    'similarity matching': dict(pretrain='../pretrain/sola_watch.py'),
    'boundary-sensitive': dict(pretrain='../pretrain/boundary_watch.py'),
    'pseudo action localization': dict(pretrain='../pretrain/pseudo_watch.py'),
    'temporally-sensitive (labels)': dict(pretrain='../pretrain/temporally_watch.py'),
}

factors = dict(
    method={
        **_base_._controls,
        **{
            f'{prefix}{task}, {kind}': dict(_base_._methods[f'{prefix}SoLa, {kind}'], **config)
            for prefix in ('', 'std + ')
            for kind in ('frozen', 'fine-tuned')
            for task, config in _tasks.items()
        },
    }
)
