# G-TAD on THUMOS14, I3D features: windows of 256 snippets (34 s), actions of at most 64. Source of
# network, losses, training windows and post-processing: the authors' code for TSN features,
# frostinassiky/gtad, branch for THUMOS14, opts.py, loss_function.py, gtad_lib/dataset.py,
# gtad_postprocess.py; of the schedule: for I3D features, sming256/OpenTAD,
# configs/gtad/thumos_i3d.py
#
# Not as published (docs/heads.md): the features; the voting of OpenTAD, as post-processing is the
# authors'; the windows of the test, which here end with the video.
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
    loss_cls=dict(
        type='GTADLoss',
        regression_weight=1.0,
        classification_weight=10.0,
        added_counts=(10, 20),
    ),
    windows=dict(stride=128, min_coverage=0.9, keep_partial=True),
    # The authors drop what has 300 frames or more. With 4 frames a snippet this is beyond
    # max_duration; with 5, as in their features, it is 60 of 64 cells.
    post_processing=dict(max_length=300 / 4, suppress_windows=True, decimals=1),
)
# An epoch has every window once that holds an action; others count in it with the part inside.
train_dataloader = dict(
    batch_size=8,
    sampler=dict(
        type='TrainingWindowSampler', length=256, stride=128, min_coverage=0.9, min_rest=51
    ),
    dataset=dict(pipeline=[dict(type='LoadFeatures', margin=None), dict(type='PackTALInputs')]),
)

train_cfg = dict(max_epochs=8)
optim_wrapper = dict(optimizer=dict(lr=1e-4), clip_grad=dict(max_norm=1))
param_scheduler = dict(milestones=[5])
