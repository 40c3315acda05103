# Every head with every neck, with few labels.
_base_ = '../_base_/studies/methods.py'
title = 'Heads'

factors = dict(
    head={
        'BMN': dict(head='../localization/bmn_watch.py'),
        'G-TAD': dict(head='../localization/gtad_watch.py'),
        'ActionFormer': dict(head='../localization/actionformer_watch.py'),
    },
    method=_base_._methods,
)
