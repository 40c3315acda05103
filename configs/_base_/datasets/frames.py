# What the sets of real video share: a folder of (T, C) features beside the annotations, whose first
# snippet begins with the video.
_dataset = dict(
    type='TALFeatureDataset',
    ann_file='annotations.json',
    data_prefix=dict(features='features'),
    layout='TC',
    feature_offset=0.0,
)

train_dataloader = dict(
    num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True), dataset=_dataset
)
test_dataloader = dict(
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')
