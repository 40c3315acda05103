# ActionFormer on the raw features of GTEA: the small model of the embedded data.
_base_ = [
    '../_base_/models/actionformer_watch.py',
    '../_base_/datasets/gtea.py',
    '../_base_/schedules/onecycle_60e.py',
    '../_base_/default_runtime.py',
]
model = dict(feat_dim=11, classes=_base_.classes, pyramid=dict(num_levels=5))
default_hooks = dict(checkpoint=dict(interval=20))
