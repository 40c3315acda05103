# UR Fall Detection: EfficientNet-Lite0 (ImageNet) on real video, 15 frames a second. Other people
# and rooms are tested on than trained on.
# docs/datasets.md says where it comes from and how the folder is made.
_base_ = 'frames.py'

data_root = 'data/real/urfd/'

# In the order of their numbers, for heads that classify.
classes = [
    'fall',
    'lie',
    'lie_down',
]

_dataset = dict(
    data_root=data_root,
    feat_dim=1280,
    feature_stride=1 / 15,
    classes=classes,
)

train_dataloader = dict(batch_size=4, dataset=dict(subset='training', **_dataset))
test_dataloader = dict(batch_size=4, dataset=dict(subset='testing', **_dataset))
