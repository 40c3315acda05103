# What the studies on real video share: sets, and their videos for development and for tests.
# docs/studies.md says what is fixed by which of them.
_base_ = 'methods.py'
embedded = None
data_root = 'data/real'
head = None
pretrain = None

# Name → its configs, and seeds for each fold: two pairs of fold and seed for development, six for
# tests.
_sets = {
    '50 Salads': dict(
        heads={
            'BMN': '../localization/bmn_salads.py',
            'G-TAD': '../localization/gtad_salads.py',
            'ActionFormer': '../localization/actionformer_salads.py',
        },
        pretrain='../pretrain/sola_salads.py',
        seeds=dict(development=1, tests=2),
    ),
    'GTEA': dict(
        heads={
            'BMN': '../localization/bmn_gtea.py',
            'G-TAD': '../localization/gtad_gtea.py',
            'ActionFormer': '../localization/actionformer_gtea.py',
        },
        pretrain='../pretrain/sola_gtea.py',
        seeds=dict(development=2, tests=3),
    ),
    'UR Fall': dict(
        heads={
            'BMN': '../localization/bmn_urfd.py',
            'G-TAD': '../localization/gtad_urfd.py',
            'ActionFormer': '../localization/actionformer_urfd.py',
        },
        pretrain='../pretrain/sola_urfd.py',
        seeds=dict(development=2, tests=6),
    ),
    'UTKinect': dict(
        heads={
            'BMN': '../localization/bmn_utkinect.py',
            'G-TAD': '../localization/gtad_utkinect.py',
            'ActionFormer': '../localization/actionformer_utkinect.py',
        },
        pretrain='../pretrain/sola_utkinect.py',
        seeds=dict(development=1, tests=2),
    ),
}

# Videos that are scored, as shell patterns of their ids: those of one official split, or of two
# people. Nothing is chosen by a video for tests. Every fold is trained on all other videos.
_scored = {
    '50 Salads': dict(
        development={split: [f'salad_{split}_*'] for split in ('4', '5')},
        tests={split: [f'salad_{split}_*'] for split in ('1', '2', '3')},
    ),
    'GTEA': dict(
        development={'3': ['gtea_3_*']},
        tests={split: [f'gtea_{split}_*'] for split in ('1', '2')},
    ),
    'UTKinect': dict(
        development={'4': ['s07_*', 's08_*'], '5': ['s09_*', 's10_*']},
        tests={'1': ['s01_*', 's02_*'], '2': ['s03_*', 's04_*'], '3': ['s05_*', 's06_*']},
    ),
}

# Use → set → fold → what is trained on, and what is scored. Of UR Fall only two groups of people
# and rooms can be told apart, which the annotations call training and testing.
_parts = {
    use: {
        name: {
            fold: (dict(videos=[f'!{each}' for each in videos]), dict(videos=videos))
            for fold, videos in folds[use].items()
        }
        for name, folds in _scored.items()
    }
    for use in ('development', 'tests')
}
_parts['development']['UR Fall'] = {
    'training': (
        dict(subset='training', videos='!*[0369]'),
        dict(subset='training', videos='*[0369]'),
    )
}
_parts['tests']['UR Fall'] = {'testing': (dict(subset='training'), dict(subset='testing'))}

# Use → set → fold → changes of the configs.
_folds = {
    use: {
        name: {
            fold: dict(
                head_options={
                    **{f'train_dataloader.dataset.{key}': value for key, value in train.items()},
                    **{f'test_dataloader.dataset.{key}': value for key, value in score.items()},
                },
                pretrain_options={
                    f'train_dataloader.dataset.features.{key}': value
                    for key, value in train.items()
                },
            )
            for fold, (train, score) in folds.items()
        }
        for name, folds in of_sets.items()
    }
    for use, of_sets in _parts.items()
}

# Groups that are looked at together: those of a head, of a set, and all.
_of_heads = {head: f'*, {head}' for head in ('BMN', 'G-TAD', 'ActionFormer')}
_of_sets = {name: f'{name}, *' for name in _sets}
