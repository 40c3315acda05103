# The trivial baseline: every snippet averaged with its two neighbours.
_base_ = 'actionformer_watch.py'
model = dict(neck=dict(type='TemporalSmoothing', kernel_size=3))
