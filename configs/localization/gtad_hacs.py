# G-TAD on HACS Segments, I3D features: the authors' settings, which are those of ActivityNet with
# another learning rate. Source: frostinassiky/gtad, branch for HACS, gtad_lib/opts.py, gtad_hacs.sh
#
# Not as published (docs/heads.md): gradient clipping, as on ActivityNet; the classes of a proposal
# (with a score file, test_evaluator = dict(classifier=dict(type='ScoreFile', path=FILE, top_k=1))
# gives the published one).
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
