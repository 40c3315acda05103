# ActionFormer on THUMOS14, I3D features: the authors' settings.
_base_ = [
    '../_base_/models/actionformer.py',
    '../_base_/datasets/thumos14_i3d.py',
    '../_base_/schedules/actionformer.py',
    '../_base_/default_runtime.py',
]
model = dict(classes=_base_.classes)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures'),
            dict(type='CropFeatures', max_length=2304, scale=(0.9, 1.0)),
            dict(type='PackTALInputs'),
        ]
    )
)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001),
    *_base_.custom_hooks,
]
