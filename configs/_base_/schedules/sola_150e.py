# The authors' schedule: AdamW, 256 windows a batch, 150 epochs of one window a video. A config adds
# the dataset: train_dataloader = dict(dataset=..., **_base_.window_dataloader).
window_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='WindowSampler', windows_per_video=1),
    collate_fn=dict(type='window_collate'),
)

train_cfg = dict(by_epoch=True, max_epochs=150)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-4, fused=True))
