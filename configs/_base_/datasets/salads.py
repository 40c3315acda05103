# 50 Salads: scores of frame-wise classifiers of real video, one a second. The split of other people
# than those of training that is tested on is the fifth; studies have folds of their own.
# docs/datasets.md says where it comes from and how the folder is made.
_base_ = 'frames.py'

data_root = 'data/real/50salads_svm/'

# In the order of their numbers, for heads that classify.
classes = [
    'add_dressing',
    'add_oil',
    'add_pepper',
    'add_salt',
    'add_vinegar',
    'cut_cheese',
    'cut_cucumber',
    'cut_lettuce',
    'cut_tomato',
    'mix_dressing',
    'mix_ingredients',
    'peel_cucumber',
    'place_cheese_into_bowl',
    'place_cucumber_into_bowl',
    'place_lettuce_into_bowl',
    'place_tomato_into_bowl',
    'serve_salad_onto_plate',
]

_dataset = dict(
    data_root=data_root,
    feat_dim=18,
    feature_stride=1.0,
    classes=classes,
)

train_dataloader = dict(batch_size=4, dataset=dict(videos='!salad_5_*', **_dataset))
test_dataloader = dict(batch_size=4, dataset=dict(videos='salad_5_*', **_dataset))
