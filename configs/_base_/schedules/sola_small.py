# A short schedule for small data sets: AdamW, 32 windows a batch, 25 epochs. A config adds the
# dataset and how many windows of each video make an epoch.
window_dataloader = dict(batch_size=32, num_workers=0, collate_fn=dict(type='default_collate'))

train_cfg = dict(by_epoch=True, max_epochs=25)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=5e-4, fused=True))
