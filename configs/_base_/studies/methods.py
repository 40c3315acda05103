# What a head can be trained on, in the order of the tables. "unified" is the control of
# "fine-tuned": the same network, trained with the head alone, without similarity matching.
_base_ = 'watch.py'

_sola = dict(type='SoLa', hidden_channels=64)
_pretrained = dict(_sola, init_cfg=dict(type='Pretrained', checkpoint=None))
_std = {'model.neck.standardize': True}

_methods = {
    'raw features': dict(),
    'mean of 3 snippets': dict(
        head_options={'model.neck': dict(type='TemporalSmoothing', kernel_size=3)}
    ),
    'standardised': dict(head_options={'model.neck': dict(type='Standardization')}),
    'SoLa, frozen': dict(head_options={'model.neck': dict(_pretrained, frozen=True)}),
    'SoLa, fine-tuned': dict(head_options={'model.neck': _pretrained}),
    'SoLa, gate reset': dict(head_options={'model.neck': dict(_pretrained, reset_gate=True)}),
    'SoLa, unified': dict(head_options={'model.neck': _sola}),
    'std + SoLa, frozen': dict(
        head_options={'model.neck': dict(_pretrained, frozen=True)}, pretrain_options=_std
    ),
    'std + SoLa, fine-tuned': dict(head_options={'model.neck': _pretrained}, pretrain_options=_std),
    'std + SoLa, unified': dict(head_options={'model.neck': dict(_sola, standardize=True)}),
}
# Matched over 30 snippets instead of 14; what target.py found best once heads were trained long
# enough.
_16_positions = {
    'model.num_positions': 16,
    'model.window': 39,
    'train_dataloader.dataset.window': 39,
}
_positions = {
    'raw features': _methods['raw features'],
    'SoLa, frozen': _methods['SoLa, frozen'],
    'SoLa, frozen, 16 positions': dict(_methods['SoLa, frozen'], pretrain_options=_16_positions),
    'SoLa, gate reset': _methods['SoLa, gate reset'],
    'SoLa, gate reset, 16 positions': dict(
        _methods['SoLa, gate reset'], pretrain_options=_16_positions
    ),
    'SoLa, unified': _methods['SoLa, unified'],
}
# No label-free training.
_controls = {
    name: _methods[name]
    for name in (
        'raw features',
        'mean of 3 snippets',
        'standardised',
        'SoLa, unified',
        'std + SoLa, unified',
    )
}
# Head → regimes. Four times the iterations of an epoch with all labels: fewer of these, as many as
# lengths_all_labels.py found long enough.
_regimes = {
    head: {
        'few labels': dict(),
        'all labels': dict(
            embedded=dict(labelled=56),
            head_options=_base_._schedules[epochs],
        ),
        'few labels, other subjects in the test': dict(embedded=dict(split='subject')),
        'few labels, encoder knows the actions': dict(
            embedded=dict(encoder_classes=['ABD', 'ROW', 'FEL', 'PEN'])
        ),
    }
    for head, epochs in {'BMN': '90', 'G-TAD': '60', 'ActionFormer': '40'}.items()
}
baseline = dict(method='standardised')
