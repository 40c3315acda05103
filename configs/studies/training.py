# How SoLa is trained, and whether it helps on top of standardised features ("std +"). "unified" is the
# control for "finetune": the same network, no similarity matching. "joint": it is an auxiliary loss.
_base_ = '../_base_/studies/watch.py'
title = 'Separate, finetune, unified, joint; on raw and on standardised features'

_bmn = '../localization/bmn_watch'
_std = {'model.neck.standardize': True}

factors = dict(training={
    'raw features': dict(head=f'{_bmn}.py'),
    'separate': dict(),
    'finetune': dict(head=f'{_bmn}_sola_finetune.py'),
    'unified': dict(head=f'{_bmn}_sola_unified.py'),
    'joint, weight 1': dict(head=f'{_bmn}_sola_joint.py'),
    'joint, weight 0.1': dict(
        head=f'{_bmn}_sola_joint.py', head_options={'model.similarity_matching.weight': 0.1}),
    'standardised': dict(head=f'{_bmn}_standardization.py'),
    'std + separate': dict(pretrain_options=_std),
    'std + finetune': dict(head=f'{_bmn}_sola_finetune.py', pretrain_options=_std),
    'std + unified': dict(head=f'{_bmn}_sola_unified.py', head_options=_std),
    'std + joint, weight 1': dict(head=f'{_bmn}_sola_joint.py', head_options=_std),
})
baseline = dict(training='standardised')
