# The recipe that was chosen on development videos and validation streams, in all regimes of the
# embedded data and with every head: against raw and standardised features, and the same network
# without label-free training.
_base_ = '../_base_/studies/methods.py'
title = 'The recipe, in every regime and with every head'

_heads = {'BMN': 'bmn', 'G-TAD': 'gtad', 'ActionFormer': 'actionformer'}
_recipe = 'SoLa, gate reset'
factors = dict(
    experiment={
        f'{head}, {name}': dict(
            head=f'../localization/{config}_watch.py', **_base_._regimes[head][name]
        )
        for name in _base_._regimes['BMN']
        for head, config in _heads.items()
    },
    method={
        name: _base_._methods[name]
        for name in (
            'raw features',
            'mean of 3 snippets',
            'standardised',
            'SoLa, frozen',
            _recipe,
            'SoLa, unified',
        )
    },
)
baseline = dict(_delete_=True, method='raw features')
headline = dict(row=_recipe, against=['raw features', 'standardised', 'SoLa, unified'])
summaries = {
    'all': '*',
    **{head: f'{head}, *' for head in _heads},
    **{regime: f'*, {regime}' for regime in _base_._regimes['BMN']},
}
