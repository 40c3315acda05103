# What similarity matching adds: the same network behind the same features, without it ("unified").
_base_ = '../_base_/studies/methods.py'
title = 'What similarity matching adds to the same network'

factors = dict(
    experiment={
        **{
            f'BMN, {name}': dict(head='../localization/bmn_watch.py', **regime)
            for name, regime in _base_._regimes['BMN'].items()
        },
        'G-TAD, few labels': dict(head='../localization/gtad_watch.py'),
        'ActionFormer, few labels': dict(head='../localization/actionformer_watch.py'),
    },
    training={
        name: _base_._methods[f'SoLa, {name}'] for name in ('unified', 'frozen', 'fine-tuned')
    },
    features={
        'raw': dict(),
        'standardised': dict(
            head_options={'model.neck.standardize': True},
            pretrain_options={'model.neck.standardize': True},
        ),
    },
)
baseline = dict(_delete_=True, training='unified')
