# What `make demo FULL=1` runs: three heads with and without SoLa, and beside one that learns with
# the head the same network without label-free training.
_base_ = 'heads.py'
title = 'SoLa on the embedded data'
factors = dict(
    method=dict(
        _delete_=True,
        **{
            name: _base_._methods[name]
            for name in (
                'raw features',
                'standardised',
                'SoLa, frozen',
                'SoLa, gate reset',
                'SoLa, unified',
                'std + SoLa, unified',
            )
        },
    )
)
baseline = dict(method='raw features')
seeds = 3
