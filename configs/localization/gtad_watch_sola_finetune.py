# "finetune": SoLa trained by similarity matching goes on learning with the head.
_base_ = 'gtad_watch_sola_paper.py'
model = dict(neck=dict(frozen=False))
