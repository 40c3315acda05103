# Similarity matching on the training videos of THUMOS14 (its validation part), two-stream I3D
# features, 0.133 s a snippet. There are few and long videos: 188 windows of each make an epoch as
# long as on HACS.
_base_ = [
    '../_base_/models/sola.py',
    '../_base_/datasets/thumos14_i3d.py',
    '../_base_/schedules/sola_150e.py',
    '../_base_/default_runtime.py',
]
train_dataloader = dict(
    _delete_=True,
    dataset=dict(
        type='SoLaWindowDataset',
        window=23,
        # Videos without a usable segment are wanted all the same.
        features=dict(filter_empty=False, **_base_.train_dataloader.dataset),
    ),
    **dict(_base_.window_dataloader, sampler=dict(type='WindowSampler', windows_per_video=188)),
)
test_dataloader = test_cfg = test_evaluator = None
