# GTEA: scores of frame-wise classifiers of real video, three a second. The split that is tested on
# is the third; configs/studies/real_video.py tests on all.
# docs/datasets.md says where it comes from and how the folder is made.
data_root = 'data/real/gtea_svm/'

# In the order of their numbers, for heads that classify.
classes = [
    'action_01',
    'action_02',
    'action_03',
    'action_04',
    'action_05',
    'action_06',
    'action_07',
    'action_08',
    'action_09',
    'action_10',
]

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='annotations.json',
    data_prefix=dict(features='features'),
    layout='TC',
    feat_dim=11,
    feature_stride=1 / 3,
    feature_offset=0.0,
    classes=classes,
)

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(videos='!gtea_3_*', **_dataset),
)
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(videos='gtea_3_*', test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')
