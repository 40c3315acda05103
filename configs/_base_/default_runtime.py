custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)
default_scope = 'mmaction'

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=20),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    tf32=dict(type='TF32Hook'),  # enabled=False: float32 exactly, slower on a GPU
)
custom_hooks = [dict(type='ProgressBarHook')]

# Add dict(type='TensorboardVisBackend') to write TensorBoard event files (pip install tensorboard).
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])

env_cfg = dict(
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
