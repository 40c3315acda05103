# ActionFormer on THUMOS14, I3D features: the authors' settings. Source:
# happyharrycn/actionformer_release, configs/thumos_i3d.yaml, libs/core/config.py, libs/datasets
_base_ = [
    '../_base_/models/actionformer.py',
    '../_base_/datasets/thumos14_i3d.py',
    '../_base_/schedules/actionformer.py',
    '../_base_/default_runtime.py',
]
model = dict(classes=_base_.classes)
# Boundaries of cut actions reach as far as the clips of 16 frames, a new one every 4 frames.
train_dataloader = dict(
    drop_last=True,
    dataset=dict(
        pipeline=[
            dict(type='LoadFeatures', margin=None),
            dict(
                type='CropFeatures',
                max_length=2304,
                scale=(0.9, 1.0),
                min_coverage=0.5,
                margin=(1.5, 2.5),
            ),
            dict(type='PackTALInputs'),
        ]
    ),
)
custom_hooks = [
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.001),
    *_base_.custom_hooks,
]
