# ActionFormer with SoLa on the embedded data in mmengine's new style, pure Python: what
# configs/localization/actionformer_watch.py says in text, with a neck that SoLaPretrainHook trains.
# All tools read both styles; one config cannot mix them.
from mmengine.dataset import DefaultSampler
from mmengine.hooks import CheckpointHook, DistSamplerSeedHook, LoggerHook
from mmengine.optim import OneCycleLR
from mmengine.runner import TestLoop
from mmengine.visualization import LocalVisBackend, Visualizer
from torch.optim import AdamW

from sola_plugin.datasets import TALFeatureDataset
from sola_plugin.evaluation.tal_metric import TALMetric
from sola_plugin.heads import ActionFormer
from sola_plugin.necks import SoLa
from sola_plugin.pretraining import SoLaPretrainHook, TF32Hook
from sola_plugin.pretraining.progress_bar import ProgressBarHook

custom_imports = dict(imports=['sola_plugin'], allow_failed_imports=False)
default_scope = 'mmaction'

classes = ['ABD', 'ROW']
dataset = dict(
    type=TALFeatureDataset,
    data_root='data/watch/',
    ann_file='annotations.json',
    data_prefix=dict(features='features'),
    layout='TC',
    feature_stride=0.32,
    feature_offset=0.16,
    classes=classes,
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(dataset, subset='training'),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(dataset, subset='testing', test_mode=True),
)
test_cfg = dict(type=TestLoop)
test_evaluator = dict(type=TALMetric, tiou_thresholds='thumos14')

model = dict(
    type=ActionFormer,
    feat_dim=128,
    classes=classes,
    # SoLaPretrainHook trains it before the head; then it learns with the head, which begins with
    # the features as they are. recipe='paper' keeps it fixed.
    neck=dict(type=SoLa, hidden_channels=64),
    pyramid=dict(channels=64, num_levels=4, windows=9, num_stem_blocks=1, residual_scale=1.0),
    loss_normalizer=100,
    post_processing=dict(sigma=0.5, top_k=100),
)
custom_hooks = [
    dict(type=SoLaPretrainHook, recipe='reset_gate', max_epochs=60),
    dict(type=ProgressBarHook),
]

train_cfg = dict(by_epoch=True, max_epochs=60)
optim_wrapper = dict(optimizer=dict(type=AdamW, lr=1e-3, weight_decay=1e-4))
param_scheduler = dict(
    type=OneCycleLR, eta_max=1e-3, total_steps=60, by_epoch=True, convert_to_iter_based=True
)

default_hooks = dict(
    logger=dict(type=LoggerHook, interval=20),
    checkpoint=dict(type=CheckpointHook, interval=20, max_keep_ckpts=2),
    sampler_seed=dict(type=DistSamplerSeedHook),
    tf32=dict(type=TF32Hook),
)
visualizer = dict(type=Visualizer, vis_backends=[dict(type=LocalVisBackend)])
env_cfg = dict(
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
