# 5 epochs of warm-up and 30 of cosine decay; biases, norms and scales without weight decay. Another
# length: change max_epochs, end and T_max.
train_cfg = dict(by_epoch=True, max_epochs=35)
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(flat_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        end=35,
        T_max=30,
        eta_min=1e-8,
        convert_to_iter_based=True,
    ),
]
