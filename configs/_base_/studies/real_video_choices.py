# Chosen on validation videos by: python tools/ablate.py configs/studies/real_video_heads.py
# --data-root /work/shared/real --jobs 1 --work-dir /work/tmp/night/heads5 --choose
# configs/_base_/studies/real_video_choices.py
_choices = {
    'BMN': '60',
    'G-TAD': '60',
    'ActionFormer': '60',
}
