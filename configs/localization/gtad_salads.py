# G-TAD on the raw features of 50 Salads: the small model of the embedded data.
_base_ = [
    '../_base_/models/gtad_watch.py',
    '../_base_/datasets/salads.py',
    '../_base_/schedules/onecycle_60e.py',
    '../_base_/default_runtime.py',
]
model = dict(feat_dim=18, temporal_dim=160, max_duration=48)
default_hooks = dict(checkpoint=dict(interval=20))
