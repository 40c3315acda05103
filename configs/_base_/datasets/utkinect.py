# UTKinect-Action3D: skeletons that a Kinect tracked, and their speeds, 15 a second. The people that
# are tested on are the last two of ten; studies have folds of their own.
# docs/datasets.md says where it comes from and how the folder is made.
_base_ = 'frames.py'

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
    data_root=data_root,
    feat_dim=120,
    feature_stride=1 / 15,
    classes=classes,
)

train_dataloader = dict(batch_size=2, dataset=dict(videos=['!s09_*', '!s10_*'], **_dataset))
test_dataloader = dict(batch_size=2, dataset=dict(videos=['s09_*', 's10_*'], **_dataset))
