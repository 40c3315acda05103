# ActionFormer on the raw features of the embedded data.
_base_ = [
    '../_base_/models/actionformer_watch.py',
    '../_base_/datasets/watch.py',
    '../_base_/schedules/onecycle_60e.py',
    '../_base_/default_runtime.py',
]
model = dict(classes=_base_.classes)
train_dataloader = dict(batch_size=4)
default_hooks = dict(checkpoint=dict(interval=20))
