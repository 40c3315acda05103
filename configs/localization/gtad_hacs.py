# G-TAD on HACS Segments, I3D features: the authors' settings, which are those of ActivityNet with
# another learning rate.
_base_ = [
    '../_base_/models/gtad.py',
    '../_base_/datasets/hacs_i3d.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
model = dict(feat_dim=2048)
train_dataloader = dict(batch_size=32)

train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=1))
param_scheduler = dict(milestones=[5])
