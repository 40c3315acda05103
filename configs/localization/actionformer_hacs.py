# ActionFormer on HACS Segments, I3D features. Its authors have no setting for HACS; this one is for
# SlowFast features. All actions are one class, as on ActivityNet. Source: sming256/OpenTAD,
# configs/actionformer/hacs_slowfast.py, configs/_base_/datasets/hacs-1.1.1/features_slowfast_pad.py
#
# Not as published (docs/heads.md): the features; input dropout; the classes of a proposal (with a
# score file, test_evaluator = dict(classifier=dict(type='ScoreFile', path=FILE, top_k=3)) gives the
# published 3); the ends of cut actions.
_base_ = [
    '../_base_/models/actionformer.py',
    '../_base_/datasets/hacs_i3d.py',
    '../_base_/schedules/actionformer.py',
    '../_base_/default_runtime.py',
]
model = dict(
    pyramid=dict(channels=256, windows=[13, 13, 13, 13, 13, None], position_encoding=True),
    label_smoothing=0.1,
    loss_normalizer=400,
    post_processing=dict(sigma=0.75, min_length=0.0, top_k=100),
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures', margin=None),
            dict(type='CropFeatures', max_length=960, scale=(0.9, 1.0), min_coverage=0.5),
            dict(type='PackTALInputs'),
        ]
    )
)

train_cfg = dict(max_epochs=15)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.03))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        end=15,
        T_max=10,
        eta_min=1e-8,
        convert_to_iter_based=True,
    ),
]
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001),
    *_base_.custom_hooks,
]
