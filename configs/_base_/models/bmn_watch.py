# A small BMN for the embedded data: 128 cells of 0.64 s, actions of at most 16 cells.
model = dict(
    type='BMN',
    temporal_dim=128,
    max_duration=16,
    feat_dim=128,
    num_samples=8,
    num_samples_per_bin=3,
    boundary_ratio=0.5,
    hidden_dim_1d=64,
    hidden_dim_2d=32,
    hidden_dim_3d=64,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.5,
    soft_nms_high_threshold=0.9,
    post_process_top_k=100,
)
