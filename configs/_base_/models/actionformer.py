# ActionFormer in the published size: its THUMOS14 model.
model = dict(
    type='ActionFormer',
    feat_dim=2048,
    pyramid=dict(channels=512, num_levels=6, num_heads=4, windows=19, drop_path=0.1),
    center_radius=1.5,
    loss_normalizer=100,
    post_processing=dict(nms='soft', sigma=0.5, min_score=0.001, top_k=200),
)
