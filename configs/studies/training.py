# How SoLa is trained. "unified" is the control of "fine-tuned": the same network without similarity
# matching. "joint": similarity matching is an auxiliary loss of the head's training.
_base_ = '../_base_/studies/methods.py'
title = 'Separate (frozen), fine-tuned, unified and joint training'
head = '../localization/bmn_watch.py'

factors = dict(
    method={
        **_base_._methods,
        **{
            f'{prefix}SoLa, joint (weight {weight})': dict(
                head_options={
                    **_base_._methods[f'{prefix}SoLa, unified'].head_options,
                    'model.similarity_matching': dict(weight=weight, predictor_channels=128),
                }
            )
            for prefix in ('', 'std + ')
            for weight in (1.0, 0.1)
        },
    }
)
