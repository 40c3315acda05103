# UTKinect-Action3D: skeletons that a Kinect tracked, and their speeds, 15 a second. The people that
# are tested on are the last two of ten; configs/studies/real_video.py tests on all.
# docs/datasets.md says where it comes from and how the folder is made.
data_root = 'data/real/utkinect/'

# In the order of their numbers, for heads that classify.
classes = [
    'carry',
    'clapHands',
    'pickUp',
    'pull',
    'push',
    'sitDown',
    'standUp',
    'throw',
    'walk',
    'waveHands',
]

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='annotations.json',
    data_prefix=dict(features='features'),
    layout='TC',
    feat_dim=120,
    feature_stride=1 / 15,
    feature_offset=0.0,
    classes=classes,
)

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(videos=['!s09_*', '!s10_*'], **_dataset),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(videos=['s09_*', 's10_*'], test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')
