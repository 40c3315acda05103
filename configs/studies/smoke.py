# A study in half a minute, to see that everything works; its training is too short to say anything.
_base_ = '../_base_/studies/watch.py'
title = 'Smoke: two necks, very short training'
head_options = {'train_cfg.max_epochs': 20}
pretrain_options = {'train_cfg.max_epochs': 5}

factors = dict(
    neck={
        'standardised': dict(
            head_options={'model.neck': dict(_delete_=True, type='Standardization')}
        ),
        'SoLa, frozen': dict(),
    }
)
baseline = dict(neck='standardised')
seeds = 2
