# "separate": SoLa is first trained by similarity matching with the authors' schedule, then kept
# fixed.
_base_ = 'bmn_hacs.py'
model = dict(neck=dict(type='SoLa'))
custom_hooks = [dict(type='SoLaPretrainHook'), *_base_.custom_hooks]
