# The boundary-sensitive pretext task on the embedded data, equal to similarity matching but for the
# task. A window gives a clip of half its length: the neck sees 23 snippets, as there.
_base_ = 'sola_watch.py'
model = dict(_delete_=True, type='BoundarySensitive', neck=_base_.model.neck, window=46)
train_dataloader = dict(dataset=dict(window=46))
