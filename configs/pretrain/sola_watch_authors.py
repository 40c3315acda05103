# The authors' geometry on the embedded data: windows of 23 snippets, 8 positions 2 snippets apart.
_base_ = 'sola_watch.py'
model = dict(
    neck=dict(kernel_sizes=(5, 1)),
    window=23,
    start=4,
    step=2,
    num_positions=8)
train_dataloader = dict(dataset=dict(window=23))
