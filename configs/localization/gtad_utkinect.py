# G-TAD on the raw features of UTKinect-Action3D: the small model of the embedded data.
_base_ = [
    '../_base_/models/gtad_watch.py',
    '../_base_/datasets/utkinect.py',
    '../_base_/schedules/onecycle_60e.py',
    '../_base_/default_runtime.py',
]
model = dict(feat_dim=120, temporal_dim=192, max_duration=32)
default_hooks = dict(checkpoint=dict(interval=20))
