# BMN on the raw features of the embedded data.
_base_ = [
    '../_base_/models/bmn_watch.py',
    '../_base_/datasets/watch.py',
    '../_base_/schedules/onecycle_135e.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(interval=45))
