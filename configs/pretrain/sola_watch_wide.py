# The other geometry that was tried on the validation streams: 16 positions 4 snippets apart, kernel
# 3.
_base_ = 'sola_watch.py'
model = dict(neck=dict(kernel_sizes=(3, 1)), window=65, start=2, step=4, num_positions=16)
train_dataloader = dict(dataset=dict(window=65))
