# Chosen on validation videos by: python tools/ablate.py configs/studies/real_video_heads.py
# --data-root ../shared/real --jobs 2 --choose configs/_base_/studies/real_video_choices.py
_choices = {
    'BMN': '60',
    'G-TAD': '60',
    'ActionFormer': '60',
}
