_base_ = 'onecycle_60e.py'
train_cfg = dict(max_epochs=135)
param_scheduler = dict(total_steps=135)
