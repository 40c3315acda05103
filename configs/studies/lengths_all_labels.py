# The same with all labels: four times the iterations of an epoch.
_base_ = 'lengths.py'
title = 'Length of the schedules with all labels, on validation streams'
embedded = dict(labelled=56)
factors = dict(
    epochs=dict(
        _delete_=True,
        **{name: dict(head_options=_base_._schedules[name]) for name in ('40', '60', '90', '135')},
    )
)
baseline = dict(epochs='40')
