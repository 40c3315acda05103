# BMN on THUMOS14, I3D features: windows of 128 snippets (17 s), actions of at most 64, as in the
# paper; the schedule is OpenTAD's for these features.
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
)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures'),
            dict(type='CropFeatures', max_length=128, min_coverage=0.9),
            dict(type='PackTALInputs'),
        ]
    ),
)

# One window of each of 200 videos is an epoch: 1300 iterations in all.
train_cfg = dict(max_epochs=100)
optim_wrapper = dict(optimizer=dict(lr=1e-4), clip_grad=dict(max_norm=1))
param_scheduler = dict(milestones=[62])
default_hooks = dict(checkpoint=dict(interval=20))
