# "separate": SoLa is first trained by similarity matching with the authors' schedule, then kept
# fixed. THUMOS14 has few and long videos: 188 windows of each make an epoch as long as on HACS.
_base_ = 'actionformer_thumos14.py'
model = dict(neck=dict(type='SoLa'))
custom_hooks = [dict(type='SoLaPretrainHook', windows_per_video=188), *_base_.custom_hooks]
