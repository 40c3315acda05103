# Similarity matching on the training videos of GTEA: the authors' geometry, a small
# network and batch.
_base_ = [
    '../_base_/models/sola.py',
    '../_base_/datasets/gtea.py',
    '../_base_/schedules/sola_small.py',
    '../_base_/default_runtime.py',
]
model = dict(neck=dict(in_channels=11, hidden_channels=64), predictor_channels=128)
train_dataloader = dict(
    _delete_=True,
    dataset=dict(
        type='SoLaWindowDataset',
        window=23,
        in_memory=True,
        # Videos without a usable segment are wanted all the same.
        features=dict(filter_empty=False, **_base_.train_dataloader.dataset),
    ),
    # 14 videos * 228 windows = 100 iterations an epoch.
    sampler=dict(type='WindowSampler', windows_per_video=228),
    **_base_.window_dataloader,
)
test_dataloader = test_cfg = test_evaluator = None
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=5))
