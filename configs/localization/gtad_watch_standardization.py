# The strongest trivial baseline: every channel standardised.
_base_ = 'gtad_watch.py'
model = dict(neck=dict(type='Standardization'))
