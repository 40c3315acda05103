# G-TAD on ActivityNet-1.3, TSN features: the authors' settings. Source: frostinassiky/gtad, branch
# for ActivityNet, gtad_lib/opts.py, gtad_anet.sh, gtad_train.py
#
# Not as published (docs/heads.md): gradient clipping, which is that of their code for THUMOS14, as
# the learning rate is high.
_base_ = [
    '../_base_/models/gtad.py',
    '../_base_/datasets/activitynet_tsn400.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(batch_size=16)

train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=4e-3), clip_grad=dict(max_norm=1))
param_scheduler = dict(milestones=[5])
