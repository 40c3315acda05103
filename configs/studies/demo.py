# What `make demo` runs: BMN with and without SoLa. demo_full.py has all heads.
_base_ = 'demo_full.py'
factors = dict(head=dict(_delete_=True, BMN=dict(head='../localization/bmn_watch.py')))
