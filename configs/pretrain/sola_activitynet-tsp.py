# Similarity matching on the training videos of ActivityNet-1.3, TSP features, 1.07 s a snippet.
_base_ = [
    '../_base_/models/sola.py',
    '../_base_/datasets/activitynet_tsp.py',
    '../_base_/schedules/sola_150e.py',
    '../_base_/default_runtime.py',
]
model = dict(neck=dict(in_channels=512))
train_dataloader = dict(
    _delete_=True,
    dataset=dict(
        type='SoLaWindowDataset',
        window=23,
        # Videos without a usable segment are wanted all the same.
        features=dict(filter_empty=False, **_base_.train_dataloader.dataset),
    ),
    **_base_.window_dataloader,
)
test_dataloader = test_cfg = test_evaluator = None
