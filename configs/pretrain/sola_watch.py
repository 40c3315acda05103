# Similarity matching on the embedded data: all training streams, no labels. The geometry is the
# authors' (windows of 23 snippets, 8 positions 2 snippets apart, kernel 5), the network and the
# batch are smaller.
_base_ = '../_base_/default_runtime.py'

data_root = 'data/watch/'

model = dict(
    type='SimilarityMatcher',
    neck=dict(type='SoLa', in_channels=128, hidden_channels=64, kernel_sizes=(5, 1)),
    window=23,
    start=4,
    step=2,
    num_positions=8,
    k=16.0,
    predictor_channels=128,
)

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    # 56 streams * 57 windows = 100 iterations an epoch.
    sampler=dict(type='WindowSampler', windows_per_video=57),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='SoLaWindowDataset',
        window=23,
        in_memory=True,
        features=dict(
            type='TALFeatureDataset',
            data_root=data_root,
            ann_file='annotations.json',
            data_prefix=dict(features='features'),
            # The streams without labels have no segments, and are wanted all the same.
            subset=['training', 'unlabelled'],
            filter_empty=False,
            layout='TC',
            feature_stride=0.32,
            feature_offset=0.16,
        ),
    ),
)

train_cfg = dict(by_epoch=True, max_epochs=25)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=5e-4, fused=True))
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=5))
