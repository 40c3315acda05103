# The embedded data, made by tools/prepare_watch.py data/watch (docs/watch.md).
data_root = 'data/watch/'

# In the order of their numbers, for heads that classify.
classes = ['ABD', 'ROW']

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='annotations.json',
    data_prefix=dict(features='features'),
    layout='TC',
    feature_stride=0.32,
    feature_offset=0.16,
    classes=classes,
)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='training', **_dataset),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='testing', test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')
