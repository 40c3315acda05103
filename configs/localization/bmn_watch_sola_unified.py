# "unified": SoLa learns with the head from the start, without similarity matching.
_base_ = 'bmn_watch_sola_paper.py'
model = dict(neck=dict(frozen=False, init_cfg=None))
