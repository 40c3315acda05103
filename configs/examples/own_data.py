# Your own data: ActionFormer behind SoLa. `sola new-dataset DIR` copies this file beside an example
# that trains in a minute; put your files and numbers in its place. docs/own_data.md

# --- the data -------------------------------------------------------------------------------------
data_root = 'data/mine/'
ann_file = 'annotations.json'
features = 'features'  # <id>.npy, (snippets, channels)
feat_dim = 16
feature_stride = 0.5  # seconds from one snippet to the next
feature_offset = 0.0  # second at which the first snippet starts
classes = ['jump', 'wave']

# --- the schedule: raise the epochs until the validation does not gain any more -------------------
epochs = 30
similarity_matching_epochs = 30
batch_size = 4
lr = 1e-3

# --- the model: each level has twice the stride of the one before ---------------------------------
model = dict(
    type='ActionFormer',
    feat_dim=feat_dim,
    classes=classes,
    neck=dict(type='SoLa', hidden_channels=32),
    pyramid=dict(channels=32, num_levels=4, windows=9, num_stem_blocks=1, residual_scale=1.0),
    loss_normalizer=100,
    post_processing=dict(sigma=0.5, top_k=100),
)
# Similarity matching, then SoLa learns with the head, which begins with the features as they are
# (recipe='paper' keeps SoLa fixed). Without the first hook: SoLa unmatched; without model.neck too:
# the head on raw features. Compare the three.
custom_hooks = [
    dict(type='SoLaPretrainHook', recipe='reset_gate', max_epochs=similarity_matching_epochs),
    dict(type='ProgressBarHook'),
]

# --- what seldom changes --------------------------------------------------------------------------
custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)
default_scope = 'mmaction'
_dataset = dict(
    type='TALFeatureDataset',
    data_root=data_root,
    ann_file=ann_file,
    data_prefix=dict(features=features),
    layout='TC',
    feat_dim=feat_dim,
    feature_stride=feature_stride,
    feature_offset=feature_offset,
    classes=classes,
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(subset='training', **_dataset),
)
test_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='validation', test_mode=True, **_dataset),
)
test_cfg = dict(type='TestLoop')
test_evaluator = dict(type='TALMetric', tiou_thresholds='thumos14')

train_cfg = dict(by_epoch=True, max_epochs=epochs)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=lr, weight_decay=1e-4))
param_scheduler = dict(
    type='OneCycleLR', eta_max=lr, total_steps=epochs, by_epoch=True, convert_to_iter_based=True
)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=20),
    checkpoint=dict(type='CheckpointHook', interval=10, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    tf32=dict(type='TF32Hook'),
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
env_cfg = dict(
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
