# How SoLa is trained. "unified" is the control of "fine-tuned": the same network without similarity matching.
# "joint": similarity matching is an auxiliary loss of the head's training.
_base_ = '../_base_/studies/methods.py'
title = 'Separate (frozen), fine-tuned, unified and joint training'
head = '../localization/bmn_watch.py'

_joint = '../localization/bmn_watch_sola_joint.py'

factors = dict(method={
    **_base_._methods,
    **{f'{prefix}SoLa, joint (weight {weight})': dict(
        head=_joint, head_options={'model.similarity_matching.weight': weight, **options})
       for prefix, options in (('', {}), ('std + ', {'model.neck.standardize': True}))
       for weight in (1.0, 0.1)},
})
