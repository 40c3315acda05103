# The same with all labels: four times the iterations of an epoch.
_base_ = 'lengths.py'
title = 'Length of the schedules with all labels, on validation streams'
embedded = dict(labelled=56)
factors = dict(
    epochs=dict(
        _delete_=True,
        **{
            str(epochs): dict(
                head_options={'train_cfg.max_epochs': epochs, 'param_scheduler.total_steps': epochs}
            )
            for epochs in (40, 60, 90)
        },
    )
)
baseline = dict(epochs='40')
