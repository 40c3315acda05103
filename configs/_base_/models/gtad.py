# G-TAD as its authors released it for ActivityNet: 100 cells, TSN features.
model = dict(
    type='GTAD',
    temporal_dim=100,
    feat_dim=400,
    num_samples=32,
    num_context_samples=4,
    kernel_size=1,
    boundary_ratio=0.5,
    soft_nms_alpha=0.8,
    soft_nms_low_threshold=0.0,
    soft_nms_high_threshold=0.0,
    post_process_top_k=100,
    loss_cls=dict(type='GTADLoss', regression_weight=10.0, classification_weight=1.0),
)
