# What SoLa looks at: kernel size and dilation of its first convolution. The window grows with them,
# so that the 8 positions, 2 snippets apart, never read padding.
_base_ = '../_base_/studies/watch.py'
title = 'Receptive field of SoLa'

factors = dict(
    receptive_field={
        f'{dilation * (kernel - 1) + 1} snippets (kernel {kernel}, dilation {dilation})': dict(
            pretrain_options={
                'model.neck.kernel_sizes': (kernel, 1),
                'model.neck.dilations': (dilation, 1),
                'model.start': dilation * (kernel // 2) + 2,
                'model.window': 2 * (dilation * (kernel // 2) + 2) + 15,
                'train_dataloader.dataset.window': 2 * (dilation * (kernel // 2) + 2) + 15,
            }
        )
        for kernel, dilation in ((1, 1), (3, 1), (5, 1), (9, 1), (5, 2), (5, 4))
    }
)
baseline = dict(receptive_field='5 snippets (kernel 5, dilation 1)')
