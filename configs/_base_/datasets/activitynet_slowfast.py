# ActivityNet-1.3, SlowFast-R50 or -R101 8x8 features (2048 + 256 channels) as published with
# OpenTAD: clips of 32 frames, a new one every 8 frames, at the frame rate of each video. That rate
# differs between videos, so there is no feature stride: the features are taken to cover the whole
# video.
#
# data/activitynet/
#   activity_net.v1-3.min.json       official annotations; ids have no 'v_'
#   slowfast_features/v_<id>.npy     float32 (T, 2304)
#   cuhk_val_simp_share.json         video classification scores: tools/test.py --scores <this file>
#
# Videos that could not be downloaded have no features; published figures leave them out
# (missing='skip', with a message that counts them).
_base_ = 'activitynet_tsp.py'

_dataset = dict(data_prefix=dict(features='slowfast_features'), feat_dim=2304, feature_stride=None)

train_dataloader = dict(dataset=dict(**_dataset))
test_dataloader = dict(dataset=dict(**_dataset))
