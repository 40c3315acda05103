# The strongest trivial baseline: every channel standardised.
_base_ = 'actionformer_watch.py'
model = dict(neck=dict(type='Standardization'))
