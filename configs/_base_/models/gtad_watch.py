# A small G-TAD for the embedded data: 128 cells of 0.64 s, actions of at most 16 cells.
model = dict(
    type='GTAD',
    temporal_dim=128,
    max_duration=16,
    feat_dim=128,
    num_samples=8,
    num_context_samples=4,
    hidden_dim_1d=64,
    hidden_dim_2d=32,
    hidden_dim_3d=64,
    groups=8,
    boundary_ratio=0.5,
    soft_nms_alpha=0.4,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_process_top_k=100,
)
