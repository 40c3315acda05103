# BMN on ActivityNet-1.3, TSN features: mmaction2's settings, with its 2 GPUs of 8 videos as one of
# 16. Source: open-mmlab/mmaction2,
# configs/localization/bmn/bmn_2xb8-400x100-9e_activitynet-feature.py
_base_ = [
    '../_base_/models/bmn.py',
    '../_base_/datasets/activitynet_tsn400.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16, drop_last=True)
