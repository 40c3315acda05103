# ActionFormer on ActivityNet-1.3, TSP features: the authors' settings. All actions are one class;
# video classification scores give the labels (tools/test.py --scores), a linear classifier where
# there are none.
_base_ = [
    '../_base_/models/actionformer.py',
    '../_base_/datasets/activitynet_tsp.py',
    '../_base_/schedules/actionformer.py',
    '../_base_/default_runtime.py',
]
model = dict(
    feat_dim=512,
    temporal_dim=192,
    pyramid=dict(channels=256, windows=[7, 7, 7, 7, 7, None], position_encoding=True),
    label_smoothing=0.1,
    regression_weight=2.0,
    loss_normalizer=200,
    post_processing=dict(sigma=0.75, voting=0.9, min_length=0.001, top_k=100),
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
