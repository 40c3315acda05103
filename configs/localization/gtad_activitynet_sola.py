# SoLa is first trained by similarity matching with the authors' schedule. Then its gate is set to
# zero, so that the head begins with the features as they are, and it goes on learning with the head
# (docs/real_video.md). recipe='paper' keeps it fixed as it was trained.
# A window of a CSV file cannot be read alone: all features (1.5 GB) stay in memory.
_base_ = 'gtad_activitynet.py'
model = dict(neck=dict(type='SoLa'))
custom_hooks = [
    dict(type='SoLaPretrainHook', recipe='reset_gate', in_memory=True),
    *_base_.custom_hooks,
]
