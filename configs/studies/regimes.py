# Where SoLa helps: few and all labels, the same and other subjects, an encoder that knows the
# actions or not.
_base_ = '../_base_/studies/methods.py'
title = 'Regimes'
head = '../localization/bmn_watch.py'

factors = dict(regime=_base_._regimes['BMN'], method=_base_._methods)
