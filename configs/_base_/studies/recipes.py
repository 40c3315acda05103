# Ways to train SoLa before and with a head, of which the recommended one is chosen. Behind
# standardised features unless a name says otherwise; the gate is the tanh(alpha) of SoLa.
_base_ = 'real_video.py'

_reset = dict(_base_._pretrained, reset_gate=True)
_weak = dict(weight=0.1, predictor_channels=128)
_slow = {
    'optim_wrapper.paramwise_cfg': dict(custom_keys=dict(neck=dict(lr_mult=0.1))),
    'param_scheduler.type': 'ProportionalOneCycleLR',
}


def _fine_tuned(neck=_base_._pretrained, options=(), matching=()):
    return dict(
        head_options={'model.neck': neck, **dict(options)},
        pretrain_options={**_base_._std, **dict(matching)},
    )


_recipes = {
    'the paper: raw, frozen': _base_._methods['SoLa, frozen'],
    'raw, fine-tuned': _base_._methods['SoLa, fine-tuned'],
    'raw, gate reset': _base_._methods['SoLa, gate reset'],
    'frozen': _base_._methods['std + SoLa, frozen'],
    'fine-tuned': _fine_tuned(),
    'slow neck': _fine_tuned(options=_slow),
    'gate reset': _fine_tuned(_reset),
    'first frozen, then free': _fine_tuned(
        options={'custom_hooks': [dict(type='NeckWarmupHook', epochs=20)]}
    ),
    'measured target': _fine_tuned(matching={'model.target': 'measured'}),
    'steps 1 and 2': _fine_tuned(matching={'model.step': [2, 1]}),
    'negatives': _fine_tuned(matching={'model.negatives': 1.0}),
    'with boundaries': _fine_tuned(
        matching={
            'model.window': 46,
            'train_dataloader.dataset.window': 46,
            'model.besides': [dict(type='BoundarySensitive', window=46)],
        }
    ),
    'no predictor': _fine_tuned(matching={'model.predictor_channels': None}),
    'raw, joint, weight 0.1': dict(
        head_options={'model.neck': _base_._sola, 'model.similarity_matching': _weak}
    ),
    'joint, weight 0.1': dict(
        head_options={
            'model.neck': dict(_base_._sola, standardize=True),
            'model.similarity_matching': _weak,
        }
    ),
}
