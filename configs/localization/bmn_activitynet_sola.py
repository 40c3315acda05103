# "separate": SoLa is first trained by similarity matching with the authors' schedule, then kept
# fixed. A window of a CSV file cannot be read alone: all features (1.5 GB) stay in memory.
_base_ = 'bmn_activitynet.py'
model = dict(neck=dict(type='SoLa'))
custom_hooks = [dict(type='SoLaPretrainHook', in_memory=True), *_base_.custom_hooks]
