# Number of epochs of each head, see docs/studies.md.
_choices = {'BMN': '60', 'G-TAD': '60', 'ActionFormer': '60'}
