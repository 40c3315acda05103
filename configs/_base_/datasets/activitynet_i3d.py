# ActivityNet-1.3, two-stream I3D features (2 x 1024 channels) as published with ActionFormer: clips
# of 16 frames that do not overlap, 25 frames a second.
#
# data/activitynet/
#   activity_net.v1-3.min.json       official annotations; ids have no 'v_'
#   i3d_features/v_<id>.npy          float32 (T, 2048)
#   cuhk_val_simp_share.json         video classification scores: tools/test.py --scores <this file>
#
# Videos that could not be downloaded have no features; published figures leave them out
# (missing='skip', with a message that counts them).
_base_ = 'activitynet_tsp.py'

_dataset = dict(data_prefix=dict(features='i3d_features'), feat_dim=2048, feature_stride=16 / 25)

train_dataloader = dict(dataset=dict(**_dataset))
test_dataloader = dict(dataset=dict(**_dataset))
