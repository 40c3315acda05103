# UR Fall Detection: EfficientNet-Lite0 (ImageNet) on real video, 15 frames a second. Other people
# and rooms are tested on than trained on; configs/studies/real_video.py turns them round, too.
# docs/datasets.md says where it comes from and how the folder is made.
data_root = 'data/real/urfd/'

# In the order of their numbers, for heads that classify.
classes = [
    'fall',
    'lie',
    'lie_down',
]

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='annotations.json',
    data_prefix=dict(features='features'),
    layout='TC',
    feat_dim=1280,
    feature_stride=1 / 15,
    feature_offset=0.0,
    classes=classes,
)

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='training', **_dataset),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='testing', test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')
