# ActivityNet-1.3, TSP features (R(2+1)D-34, 512 channels) as published with ActionFormer: clips of
# 16 frames that do not overlap, 15 frames a second.
#
# data/activitynet/
#   activity_net.v1-3.min.json       official annotations; ids have no 'v_'
#   tsp_features/v_<id>.npy          float32 (T, 512)
#   cuhk_val_simp_share.json         video classification scores: tools/test.py --scores <this file>
#
# Videos that could not be downloaded have no features; published figures leave them out
# (missing='skip', with a message that counts them).
data_root = 'data/activitynet/'

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='activity_net.v1-3.min.json',
    data_prefix=dict(features='tsp_features'),
    suffix='.npy',
    file_prefix='v_',
    layout='TC',
    feat_dim=512,
    feature_stride=16 / 15,
    missing='skip',
)

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='training', **_dataset),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='validation', test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='activitynet')
