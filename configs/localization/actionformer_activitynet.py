# ActionFormer on ActivityNet-1.3, TSP features: the authors' settings. All actions are one class;
# video classification scores give the labels (tools/test.py --scores), a linear classifier where
# there are none. Source: happyharrycn/actionformer_release, configs/anet_tsp.yaml,
# libs/core/config.py, libs/datasets
#
# Not as published (docs/heads.md): the annotation file. The authors' anet1.3_tsp_filtered.json has
# the videos that have features, and is in the archive of the features; for it,
# train_dataloader = test_dataloader = dict(dataset=dict(ann_file='anet1.3_tsp_filtered.json')).
_base_ = [
    '../_base_/models/actionformer.py',
    '../_base_/datasets/activitynet_tsp.py',
    '../_base_/schedules/actionformer.py',
    '../_base_/default_runtime.py',
]
model = dict(
    feat_dim=512,
    temporal_dim=192,
    crop=dict(scale=(0.9, 1.0), min_coverage=0.5, margin=(0.0, 1.0)),
    pyramid=dict(channels=256, windows=[7, 7, 7, 7, 7, None], position_encoding=True),
    label_smoothing=0.1,
    regression_weight=2.0,
    loss_normalizer=200,
    post_processing=dict(sigma=0.75, voting=0.9, min_length=0.001, top_k=100),
)
# Actions may end one of the 192 cells behind the features, and must be half inside.
train_dataloader = dict(
    drop_last=True,
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures', margin=(0.0, 1 / 192), min_coverage=0.5),
            dict(type='PackTALInputs'),
        ]
    ),
)

train_cfg = dict(max_epochs=15)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
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
