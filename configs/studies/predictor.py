# The asymmetry of the TSM: predictor and stop-gradient, each on or off.
_base_ = '../_base_/studies/watch.py'
title = 'Predictor and stop-gradient'

factors = dict(
    asymmetry={
        'predictor, stop-gradient': dict(),
        'predictor': dict(pretrain_options={'model.stop_gradient': False}),
        'stop-gradient': dict(pretrain_options={'model.predictor_channels': None}),
        'neither': dict(
            pretrain_options={'model.predictor_channels': None, 'model.stop_gradient': False}
        ),
    }
)
baseline = dict(asymmetry='predictor, stop-gradient')
