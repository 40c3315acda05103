# Does a longer training of the head do what pretraining does? Asked after the confirmatory run.
_base_ = '../_base_/studies/methods.py'
title = 'Longer training of the head'
head = '../localization/bmn_watch.py'

factors = dict(
    epochs={name: dict(head_options=_base_._schedules[name]) for name in ('60', '240')},
    method={
        **{
            name: _base_._methods[name]
            for name in (
                'standardised',
                'SoLa, unified',
                'SoLa, fine-tuned',
                'std + SoLa, unified',
                'std + SoLa, fine-tuned',
            )
        },
        'std + boundary-sensitive, fine-tuned': dict(
            _base_._methods['std + SoLa, fine-tuned'], pretrain='../pretrain/boundary_watch.py'
        ),
        'std + temporally-sensitive (labels), fine-tuned': dict(
            _base_._methods['std + SoLa, fine-tuned'], pretrain='../pretrain/temporally_watch.py'
        ),
    },
)
