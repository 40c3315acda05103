# The main comparison with every head; also what `make demo` runs.
_base_ = '../_base_/studies/watch.py'
title = 'Heads with and without SoLa'

_pretrained = dict(type='SoLa', hidden_channels=64, init_cfg=dict(type='Pretrained', checkpoint=None))

factors = dict(
    head={
        'BMN': dict(head='../localization/bmn_watch.py'),
        'G-TAD': dict(head='../localization/gtad_watch.py'),
        'ActionFormer': dict(head='../localization/actionformer_watch.py'),
    },
    method={
        'raw features': dict(),
        'mean of 3 snippets': dict(
            head_options={'model.neck': dict(type='TemporalSmoothing', kernel_size=3)}),
        'standardised': dict(head_options={'model.neck': dict(type='Standardization')}),
        'SoLa, frozen': dict(head_options={'model.neck': dict(_pretrained, frozen=True)}),
        'SoLa, fine-tuned': dict(head_options={'model.neck': _pretrained}),
    })
baseline = dict(method='standardised')
