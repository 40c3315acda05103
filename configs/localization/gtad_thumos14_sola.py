# SoLa is first trained by similarity matching with the authors' schedule. Then its gate is set to
# zero, so that the head begins with the features as they are, and it goes on learning with the head
# (docs/real_video.md). recipe='paper' keeps it fixed as it was trained.
# THUMOS14 has few and long videos: 188 windows of each make an epoch as long as on HACS.
_base_ = 'gtad_thumos14.py'
model = dict(neck=dict(type='SoLa'))
custom_hooks = [
    dict(type='SoLaPretrainHook', recipe='reset_gate', windows_per_video=188),
    *_base_.custom_hooks,
]
