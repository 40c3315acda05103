# Pseudo action localization on the embedded data, equal to similarity matching but for the task:
# the neck sees windows of 23 snippets, of which the pasted piece fills at most half.
_base_ = 'sola_watch.py'
model = dict(
    _delete_=True, type='PseudoActionLocalization', neck=_base_.model.neck, window=23, piece=(6, 12)
)
