# The temporally-sensitive pretext task on the embedded data, equal to similarity matching but for
# the task and for what that needs: labels. Only the labelled streams have them; they give as many
# windows an epoch as all streams give there, 14 * 228 = 56 * 57.
_base_ = 'sola_watch.py'
model = dict(
    _delete_=True, type='TemporallySensitive', neck=_base_.model.neck, num_classes=2, window=23
)
train_dataloader = dict(
    sampler=dict(windows_per_video=228), dataset=dict(labels=True, features=dict(subset='training'))
)
