# SoLa trained by similarity matching (configs/pretrain/sola_watch.py). Then its gate is set to
# zero, so that the head begins with the features as they are, and it goes on learning with the head
# (docs/real_video.md). bmn_watch_sola_paper.py keeps it fixed.
_base_ = 'bmn_watch_sola_finetune.py'
model = dict(neck=dict(reset_gate=True))
