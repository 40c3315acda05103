# Groups of set and head on real video, as the studies after the choice of lengths ask them.
_base_ = ['recipes.py', 'real_video_choices.py']

# Use, development or tests → group → what its cells share.
_groups = {
    use: {
        f'{name}, {head}': dict(
            head=config,
            pretrain=of_set['pretrain'],
            seeds=of_set['seeds'][use],
            head_options=_base_._schedules[_base_._choices[head]],
            folds=_base_._folds[use][name],
        )
        for name, of_set in _base_._sets.items()
        for head, config in of_set['heads'].items()
    }
    for use in ('development', 'tests')
}
