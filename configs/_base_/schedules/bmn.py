# Adam, a tenth of the learning rate for the last epochs. Another length: change max_epochs and
# milestones.
train_cfg = dict(by_epoch=True, max_epochs=9)
optim_wrapper = dict(
    optimizer=dict(type='Adam', lr=1e-3, weight_decay=1e-4, fused=True), clip_grad=dict(max_norm=40)
)
param_scheduler = dict(type='MultiStepLR', milestones=[7], gamma=0.1)
