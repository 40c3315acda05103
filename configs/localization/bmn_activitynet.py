# BMN on ActivityNet-1.3, TSN features: mmaction2's settings, with its 2 GPUs of 8 videos as one of
# 16.
_base_ = [
    '../_base_/models/bmn.py',
    '../_base_/datasets/activitynet_tsn400.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)
