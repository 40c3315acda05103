# THUMOS14, two-stream I3D features (2 x 1024 channels) as published with ActionFormer: clips of 16
# frames, a new one every 4 frames, 30 frames a second.
#
# data/thumos14/
#   thumos14.json                    annotations in ActivityNet's form
#   i3d_features/<id>.npy            float32 (T, 2048)
#
# Training is on the validation videos of THUMOS14, as always: its training part is trimmed.
data_root = 'data/thumos14/'

# In the order of their numbers, for heads that classify.
classes = [
    'BaseballPitch',
    'BasketballDunk',
    'Billiards',
    'CleanAndJerk',
    'CliffDiving',
    'CricketBowling',
    'CricketShot',
    'Diving',
    'FrisbeeCatch',
    'GolfSwing',
    'HammerThrow',
    'HighJump',
    'JavelinThrow',
    'LongJump',
    'PoleVault',
    'Shotput',
    'SoccerPenalty',
    'TennisSwing',
    'ThrowDiscus',
    'VolleyballSpiking',
]

_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file='thumos14.json',
    data_prefix=dict(features='i3d_features'),
    suffix='.npy',
    layout='TC',
    feat_dim=2048,
    # Seconds. The first clip is centred at 8 frames, which is the centre of [offset, offset +
    # stride].
    feature_stride=4 / 30,
    feature_offset=6 / 30,
    classes=classes,
)

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='Validation', **_dataset),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='Test', test_mode=True, **_dataset),
)

test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')
