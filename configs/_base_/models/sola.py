# Similarity matching with the authors' network and geometry: windows of 23 snippets, 8 positions 2
# snippets apart.
model = dict(
    type='SimilarityMatcher',
    neck=dict(type='SoLa', in_channels=2048, hidden_channels=512, kernel_sizes=(5, 1)),
    window=23,
    start=4,
    step=2,
    num_positions=8,
    k=16.0,
    predictor_channels=512,
    as_matmul=True,  # faster on a CPU, equal up to rounding
)
