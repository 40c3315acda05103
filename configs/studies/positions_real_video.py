# The same on development videos of real video.
_base_ = '../_base_/studies/real_video_groups.py'
title = 'Sixteen positions, on development videos'

factors = dict(
    experiment=_base_._groups['development'],
    method=_base_._positions,
)
baseline = dict(_delete_=True, method='raw features')
summaries = {'all': '*', **_base_._of_sets, **_base_._of_heads}
