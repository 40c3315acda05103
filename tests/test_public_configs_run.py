"""The configs of public data sets train and test, on made files and with a small network."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sola_plugin.commands import train_localizer
from sola_plugin.commands.testing import test_localizer as run_test
from tests import test_configs
from tests.conftest import ROOT

#: Data of each config, and snippets of its made videos.
DATA = {
    'bmn_activitynet': ('activitynet_tsn400', 100),
    'gtad_activitynet': ('activitynet_tsn400', 100),
    'actionformer_activitynet': ('activitynet_tsp', 60),
    'bmn_thumos14': ('thumos14_i3d', 330),
    'gtad_thumos14': ('thumos14_i3d', 400),
    'actionformer_thumos14': ('thumos14_i3d', 300),
    'bmn_hacs': ('hacs_i3d', 120),
    'gtad_hacs': ('hacs_i3d', 120),
    'actionformer_hacs': ('hacs_i3d', 120),
}
HIDDEN = dict(hidden_dim_1d=8, hidden_dim_2d=4, hidden_dim_3d=8)
SMALL = {
    'bmn': dict(HIDDEN, num_samples=4),
    'gtad': dict(HIDDEN, groups=4, num_samples=4, num_context_samples=4),
    'actionformer': dict(pyramid=dict(channels=16, num_heads=2)),
}
#: One of each head, and one of each data set, at every run of the tests.
ALWAYS = ('bmn_activitynet', 'gtad_hacs', 'actionformer_thumos14')


@pytest.mark.parametrize(
    'name',
    [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.slow) for name in DATA],
)
def test_trains_and_tests(tmp_path, monkeypatch, name):
    data, length = DATA[name]
    monkeypatch.setattr(test_configs, 'LENGTH', length)
    test_configs.lay_out(tmp_path, data)
    np.random.seed(0)
    init_default_scope('mmaction')
    cfg = Config.fromfile(ROOT / f'configs/localization/{name}.py')
    cfg.merge_from_dict(dict(model=SMALL[name.split('_')[0]]))
    cfg.work_dir, cfg.train_cfg.max_epochs = str(tmp_path / 'work'), 1
    cfg.param_scheduler = None
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(tmp_path)
        if 'drop_last' in loader:
            assert loader.drop_last
    train_localizer(Config(cfg.to_dict()))
    figures = run_test(cfg, tmp_path / 'work/epoch_1.pth')
    assert 0 <= figures['TAL/mAP'] <= 1
