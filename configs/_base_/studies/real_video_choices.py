# Which candidate a head is trained with, by experiment and fold: written by `tools/ablate.py
# configs/studies/real_video_heads.py --choose` (docs/studies.md), not by hand.
_choices = {
    '50 Salads, BMN': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
        '4': '60 epochs, learning rate 0.001',
        '5': '60 epochs, learning rate 0.001',
    },
    '50 Salads, G-TAD': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
        '4': '60 epochs, learning rate 0.001',
        '5': '60 epochs, learning rate 0.001',
    },
    '50 Salads, ActionFormer': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
        '4': '60 epochs, learning rate 0.001',
        '5': '60 epochs, learning rate 0.001',
    },
    'GTEA, BMN': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
    },
    'GTEA, G-TAD': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
    },
    'GTEA, ActionFormer': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
    },
    'UR Fall, BMN': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
    },
    'UR Fall, G-TAD': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
    },
    'UR Fall, ActionFormer': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
    },
    'UTKinect, BMN': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
        '4': '60 epochs, learning rate 0.001',
        '5': '60 epochs, learning rate 0.001',
    },
    'UTKinect, G-TAD': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
        '4': '60 epochs, learning rate 0.001',
        '5': '60 epochs, learning rate 0.001',
    },
    'UTKinect, ActionFormer': {
        '1': '60 epochs, learning rate 0.001',
        '2': '60 epochs, learning rate 0.001',
        '3': '60 epochs, learning rate 0.001',
        '4': '60 epochs, learning rate 0.001',
        '5': '60 epochs, learning rate 0.001',
    },
}
