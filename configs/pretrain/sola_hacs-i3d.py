# The authors' setting: similarity matching on the training videos of HACS Segments, official I3D
# features, 0.5 s a snippet. No annotations are read. 37613 videos make 147 iterations an epoch.
#
# data/hacs/training/<id>.npy      float32 (T, 2048), see docs/datasets.md
_base_ = [
    '../_base_/models/sola.py',
    '../_base_/schedules/sola_150e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(
        type='SoLaWindowDataset',
        window=23,
        features=dict(root='data/hacs/training', suffix='.npy', layout='TC', feat_dim=2048),
    ),
    **_base_.window_dataloader,
)
