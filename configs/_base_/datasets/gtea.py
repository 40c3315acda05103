# GTEA: scores of frame-wise classifiers of real video, three a second. The split that is tested on
# is the third; studies have folds of their own.
# docs/datasets.md says where it comes from and how the folder is made.
_base_ = 'frames.py'

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
    data_root=data_root,
    feat_dim=11,
    feature_stride=1 / 3,
    classes=classes,
)

train_dataloader = dict(batch_size=2, dataset=dict(videos='!gtea_3_*', **_dataset))
test_dataloader = dict(batch_size=2, dataset=dict(videos='gtea_3_*', **_dataset))
