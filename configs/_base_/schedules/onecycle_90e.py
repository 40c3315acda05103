_base_ = 'onecycle_60e.py'
train_cfg = dict(max_epochs=90)
param_scheduler = dict(total_steps=90)
