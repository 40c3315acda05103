# What `sola demo --quick` runs: a look at how it works, not a result. One head, one seed.
_base_ = 'demo.py'
title = 'SoLa on the embedded data, a first look'
factors = dict(
    method=dict(
        _delete_=True,
        **{
            name: _base_._methods[name]
            for name in ('raw features', 'SoLa, gate reset', 'SoLa, unified')
        },
    ),
)
seeds = 1
