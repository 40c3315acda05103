# What `make demo FULL=1` runs: three heads with and without SoLa.
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
                'std + SoLa, unified',
                'std + SoLa, fine-tuned',
            )
        },
    )
)
seeds = 3
