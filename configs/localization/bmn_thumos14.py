# BMN on THUMOS14, I3D features: windows of 128 snippets (17 s), actions of at most 64, as in the
# paper. Source: sming256/OpenTAD, configs/bmn/thumos_i3d.py
#
# Not as published (docs/heads.md): the lowest score of a proposal, the second suppression, the ends
# of proposals, the first weights, the regression loss.
_base_ = [
    '../_base_/models/bmn.py',
    '../_base_/datasets/thumos14_i3d.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
model = dict(
    temporal_dim=128,
    max_duration=64,
    feat_dim=2048,
    soft_nms_alpha=0.3,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_process_top_k=200,
    windows=dict(stride=64),
    post_processing=dict(boundary_scores=False, suppress_windows=True, voting=0.95),
)
# An epoch has every window once that holds an action; what it holds of others is no action.
train_dataloader = dict(
    batch_size=16,
    sampler=dict(type='TrainingWindowSampler', length=128, stride=64, min_coverage=0.9),
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures', min_coverage=0.9),
            dict(type='PackTALInputs'),
        ]
    ),
)

train_cfg = dict(max_epochs=8)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    clip_grad=dict(max_norm=1),
    paramwise_cfg=dict(custom_keys=dict(x_1d_b=dict(decay_mult=10))),
)
param_scheduler = dict(milestones=[5])
