# BMN on HACS Segments, I3D features. Its authors have no setting for HACS; this one is for SlowFast
# features. Source: sming256/OpenTAD, configs/bmn/hacs_slowfast_192.py
#
# Not as published (docs/heads.md): the features; the classes of a proposal (with a score file,
# test_evaluator = dict(classifier=dict(type='ScoreFile', path=FILE, top_k=3)) gives the published
# 3); the lowest score of a proposal; the ends of proposals; short actions; the first weights; the
# regression loss.
_base_ = [
    '../_base_/models/bmn.py',
    '../_base_/datasets/hacs_i3d.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
model = dict(
    temporal_dim=192,
    feat_dim=2048,
    soft_nms_alpha=0.5,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_processing=dict(boundary_scores=False, voting=0.95),
)

train_cfg = dict(max_epochs=6)
optim_wrapper = dict(optimizer=dict(lr=4e-4), clip_grad=dict(max_norm=1))
param_scheduler = dict(milestones=[5])
