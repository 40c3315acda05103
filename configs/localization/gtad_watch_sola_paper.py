# The paper's ("separate"): SoLa trained by similarity matching (configs/pretrain/sola_watch.py),
# then kept fixed.
_base_ = 'gtad_watch.py'
model = dict(
    neck=dict(
        type='SoLa',
        hidden_channels=64,
        frozen=True,
        init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sola_watch/sola.pth'),
    )
)
