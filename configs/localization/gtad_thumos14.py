# G-TAD on THUMOS14, I3D features: windows of 256 snippets (34 s), actions of at most 64. Network,
# losses and post-processing are the authors' for TSN features, the schedule is OpenTAD's for I3D.
_base_ = [
    '../_base_/models/gtad.py',
    '../_base_/datasets/thumos14_i3d.py',
    '../_base_/schedules/bmn.py',
    '../_base_/default_runtime.py',
]
model = dict(
    temporal_dim=256,
    max_duration=64,
    feat_dim=2048,
    num_samples=16,
    num_context_samples=16,
    kernel_size=3,
    boundary_candidates=False,
    soft_nms_alpha=0.46,
    post_process_top_k=200,
    loss_cls=dict(type='GTADLoss', regression_weight=1.0, classification_weight=10.0),
    windows=dict(stride=128),
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures'),
            dict(type='CropFeatures', max_length=256, min_coverage=0.9),
            dict(type='PackTALInputs'),
        ]
    ),
)

# One window of each of 200 videos is an epoch: 1700 iterations in all.
train_cfg = dict(max_epochs=68)
optim_wrapper = dict(optimizer=dict(lr=1e-4), clip_grad=dict(max_norm=1))
param_scheduler = dict(milestones=[42])
default_hooks = dict(checkpoint=dict(interval=10))
