# What the studies on real video share: sets, their folds, and what is tried for a head.
_base_ = 'methods.py'
embedded = None
data_root = 'data/real'
head = None
pretrain = None

# Name → its configs, and seeds for each fold, so that every set has at least five pairs.
_sets = {
    '50 Salads': dict(
        heads={
            'BMN': '../localization/bmn_salads.py',
            'G-TAD': '../localization/gtad_salads.py',
            'ActionFormer': '../localization/actionformer_salads.py',
        },
        pretrain='../pretrain/sola_salads.py',
        seeds=1,
    ),
    'GTEA': dict(
        heads={
            'BMN': '../localization/bmn_gtea.py',
            'G-TAD': '../localization/gtad_gtea.py',
            'ActionFormer': '../localization/actionformer_gtea.py',
        },
        pretrain='../pretrain/sola_gtea.py',
        seeds=2,
    ),
    'UR Fall': dict(
        heads={
            'BMN': '../localization/bmn_urfd.py',
            'G-TAD': '../localization/gtad_urfd.py',
            'ActionFormer': '../localization/actionformer_urfd.py',
        },
        pretrain='../pretrain/sola_urfd.py',
        seeds=3,
    ),
    'UTKinect': dict(
        heads={
            'BMN': '../localization/bmn_utkinect.py',
            'G-TAD': '../localization/gtad_utkinect.py',
            'ActionFormer': '../localization/actionformer_utkinect.py',
        },
        pretrain='../pretrain/sola_utkinect.py',
        seeds=1,
    ),
}

# Test videos of each fold, as shell patterns of their ids: those of one official split, or of two
# people. Of UR Fall only two groups of people and rooms can be told apart; the annotations call
# them training and testing.
_videos = {
    '50 Salads': {str(split): [f'salad_{split}_*'] for split in (1, 2, 3, 4, 5)},
    'GTEA': {str(split): [f'gtea_{split}_*'] for split in (1, 2, 3)},
    'UTKinect': {
        str(pair): [f's{2 * pair - 1:02}_*', f's{2 * pair:02}_*'] for pair in (1, 2, 3, 4, 5)
    },
}
_groups = {'1': ('training', 'testing'), '2': ('testing', 'training')}

# Set → fold → what is trained on, and what is tested on.
_outer = {
    **{
        name: {
            fold: (dict(videos=[f'!{each}' for each in videos]), dict(videos=videos))
            for fold, videos in folds.items()
        }
        for name, folds in _videos.items()
    },
    'UR Fall': {
        fold: (dict(subset=train), dict(subset=test)) for fold, (train, test) in _groups.items()
    },
}
# The same without the test videos of the fold: they are read by no trial. The next fold's videos
# validate; of UR Fall, where people cannot be told apart, every video with one of four digits.
_inner = {
    **{
        name: {
            fold: (
                dict(
                    videos=[
                        f'!{each}' for each in [*videos, *folds[str(int(fold) % len(folds) + 1)]]
                    ]
                ),
                dict(videos=folds[str(int(fold) % len(folds) + 1)]),
            )
            for fold, videos in folds.items()
        }
        for name, folds in _videos.items()
    },
    'UR Fall': {
        fold: (
            dict(subset=train, videos='!*[0369]'),
            dict(subset=train, videos='*[0369]'),
        )
        for fold, (train, _) in _groups.items()
    },
}

# Outer or inner → set → fold → changes of the configs.
_folds, _inner_folds = (
    {
        name: {
            fold: dict(
                head_options={
                    **{f'train_dataloader.dataset.{key}': value for key, value in train.items()},
                    **{f'test_dataloader.dataset.{key}': value for key, value in test.items()},
                },
                pretrain_options={
                    f'train_dataloader.dataset.features.{key}': value
                    for key, value in train.items()
                },
            )
            for fold, (train, test) in folds.items()
        }
        for name, folds in of_sets.items()
    }
    for of_sets in (_outer, _inner)
)

# What is tried for every head, set and fold: as many trials for each.
_candidates = {
    f'{epochs} epochs, learning rate {rate}': {
        'train_cfg.max_epochs': epochs,
        'param_scheduler.total_steps': epochs,
        'param_scheduler.eta_max': rate,
    }
    for epochs in (60, 90)
    for rate in (0.001, 0.003)
}
