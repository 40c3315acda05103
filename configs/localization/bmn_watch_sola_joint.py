# "joint": similarity matching is an auxiliary loss of the head's training.
_base_ = 'bmn_watch_sola_unified.py'
model = dict(similarity_matching=dict(weight=1.0, predictor_channels=128))
