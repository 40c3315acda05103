# The target with 16 positions, which validation streams prefer to the authors' 8, in all regimes of
# the test streams and with every head.
_base_ = 'recipe_watch.py'
title = 'Sixteen positions, in every regime and with every head'

factors = dict(method=dict(_delete_=True, **_base_._positions))
headline = dict(
    row='SoLa, gate reset, 16 positions',
    against=['raw features', 'SoLa, gate reset', 'SoLa, unified'],
)
