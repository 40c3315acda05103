# What the studies on the embedded data share: few labels, BMN, SoLa by the authors' geometry. Paths
# are relative to the study, in configs/studies/.
_few_labels = dict(split='time', labelled=14, encoder_classes=['IR', 'ER', 'TRAP'])
embedded = _few_labels
head = '../localization/bmn_watch_sola_paper.py'
pretrain = '../pretrain/sola_watch.py'
seeds = 5

# Number of epochs → the options that make a schedule of it.
_schedules = {
    str(epochs): {'train_cfg.max_epochs': epochs, 'param_scheduler.total_steps': epochs}
    for epochs in (40, 60, 90, 135, 200, 240)
}
