# ActivityNet-1.3, TSN features of CUHK (400 channels) rescaled to 100 columns a video. A column is
# a hundredth of its video, so there is no feature stride.
#
# data/activitynet/
#   activity_net.v1-3.min.json       official annotations; ids have no 'v_'
#   csv_mean_100/v_<id>.csv          100 rows of 400 channels under one row of names
#   cuhk_val_simp_share.json         video classification scores: tools/test.py --scores <this file>
#
# The features are of 9649 of 10024 training and 4728 of 4926 validation videos. Published figures
# leave the others out (missing='skip', with a message that counts them).
data_root = 'data/activitynet/'

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='activity_net.v1-3.min.json',
    data_prefix=dict(features='csv_mean_100'),
    suffix='.csv',
    file_prefix='v_',
    feat_dim=400,
    missing='skip',
)

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='training', **_dataset),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='validation', test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='activitynet')
