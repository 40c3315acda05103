# A small ActionFormer for the embedded data: 4 levels from 0.32 s to 2.56 s, windows of 9 snippets.
model = dict(
    type='ActionFormer',
    feat_dim=128,
    classes=['ABD', 'ROW'],
    pyramid=dict(channels=64, num_levels=4, windows=9, num_stem_blocks=1, drop_path=0.1),
    num_head_convs=1,
    loss_normalizer=100,
    post_processing=dict(sigma=0.5, top_k=100))
