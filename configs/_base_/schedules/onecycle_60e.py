train_cfg = dict(by_epoch=True, max_epochs=60)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4))
param_scheduler = dict(
    type='OneCycleLR', eta_max=1e-3, total_steps=60, by_epoch=True, convert_to_iter_based=True
)
