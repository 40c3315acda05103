# The target of similarity matching: how fast it falls (K), how many positions, how far apart.
_base_ = '../_base_/studies/watch.py'
title = 'Target of similarity matching'

factors = dict(
    target={
        'L 8, step 2, K 16': dict(),
        **{f'L 8, step 2, K {k}': dict(pretrain_options={'model.k': float(k)}) for k in (1, 4, 64)},
        **{
            f'L {number}, step {step}, K 16': dict(
                pretrain_options={
                    'model.num_positions': number,
                    'model.step': step,
                    'model.window': 9 + step * (number - 1),
                    'train_dataloader.dataset.window': 9 + step * (number - 1),
                }
            )
            for number, step in [(4, 2), (8, 1), (8, 4), (16, 2)]
        },
    }
)
baseline = dict(target='L 8, step 2, K 16')
