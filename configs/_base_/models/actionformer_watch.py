# A small ActionFormer for the embedded data: 4 levels from 0.32 s to 2.56 s, windows of 9 snippets.
# Its residual branches do not start near zero, as in the paper: 240 iterations are too few to grow
# them.
model = dict(
    type='ActionFormer',
    feat_dim=128,
    pyramid=dict(channels=64, num_levels=4, windows=9, num_stem_blocks=1, residual_scale=1.0),
    loss_normalizer=100,
    post_processing=dict(sigma=0.5, top_k=100),
)
