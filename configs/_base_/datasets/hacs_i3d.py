# HACS Segments 1.1.1, its official I3D features (RGB, 2048 channels), two snippets a second: the
# features that the authors of SoLa trained it on.
#
# data/hacs/
#   HACS_segments_v1.1.1.json        official annotations
#   training/<id>.npy                float32 (T, 2048)
#   validation/<id>.npy
data_root = 'data/hacs/'

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='HACS_segments_v1.1.1.json',
    suffix='.npy',
    layout='TC',
    feat_dim=2048,
    feature_stride=0.5,
)

train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='training', data_prefix=dict(features='training'), **_dataset),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        subset='validation', data_prefix=dict(features='validation'), test_mode=True, **_dataset
    ),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='activitynet')
