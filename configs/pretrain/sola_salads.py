# Similarity matching on the training videos of 50 Salads: the authors' geometry, a small
# network and batch.
_base_ = [
    '../_base_/models/sola.py',
    '../_base_/datasets/salads.py',
    '../_base_/schedules/sola_small.py',
    '../_base_/default_runtime.py',
]
model = dict(neck=dict(in_channels=18, hidden_channels=64), predictor_channels=128)
train_dataloader = dict(
    _delete_=True,
    dataset=dict(
        type='SoLaWindowDataset',
        window=23,
        in_memory=True,
        # Videos without a usable segment are wanted all the same.
        features=dict(filter_empty=False, **_base_.train_dataloader.dataset),
    ),
    # 40 videos * 80 windows = 100 iterations an epoch.
    sampler=dict(type='WindowSampler', windows_per_video=80),
    **_base_.window_dataloader,
)
test_dataloader = test_cfg = test_evaluator = None
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=5))
