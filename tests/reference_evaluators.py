"""Evaluators as the official ones define their figures, in plain Python: slow, and independent.

They share nothing with the package. On the public sets they give the official evaluators' figures;
for made sets, their figures are what the package is compared with.

Ground truth and detections are ``{video: [{'segment', 'label', 'score'}]}``. Of equal scores the
later entry comes first.
"""

from __future__ import annotations

#: Thresholds of average recall.
RECALL_THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def plain_tiou(a, b) -> float:
    """Infinite for two segments without length, which official code takes for equal."""
    inter = max(min(a[1], b[1]) - max(a[0], b[0]), 0)
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return inter / union if union else float('inf')


def by_falling_score(entries: list) -> list[int]:
    return sorted(range(len(entries)), key=lambda i: entries[i]['score'])[::-1]


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def classes_of(truth: dict) -> list[str]:
    return sorted({a['label'] for entries in truth.values() for a in entries})


# --- average precision: ActivityNet's detection task ----------------------------------------------


def plain_average_precision(truth, detections, label, threshold) -> float:
    """Of one class: each detection takes the free segment that it fits best, if well enough."""
    segments = {
        v: [a['segment'] for a in entries if a['label'] == label] for v, entries in truth.items()
    }
    total = sum(map(len, segments.values()))
    found = [
        dict(d, video=v)
        for v, entries in detections.items()
        for d in entries
        if d['label'] == label
    ]
    taken = set()
    precision, recall = [0.0], [0.0]
    for rank, i in enumerate(by_falling_score(found), start=1):
        video = found[i]['video']
        fits = [
            (plain_tiou(found[i]['segment'], s), j) for j, s in enumerate(segments.get(video, []))
        ]
        for tiou, j in sorted(fits)[::-1]:
            if tiou >= threshold and (video, j) not in taken:
                taken.add((video, j))
                break
        precision.append(len(taken) / rank)
        recall.append(len(taken) / total)
    return sum(
        (recall[k] - recall[k - 1]) * max(precision[k:])
        for k in range(1, len(precision))
        if recall[k] > recall[k - 1]
    )


# --- average recall: ActivityNet's proposal task --------------------------------------------------


def plain_recall(truth, proposals, threshold, max_proposals) -> list[float]:
    """Recall of one threshold at a hundredth, two hundredths, ... of ``max_proposals`` a video.

    Every video gives the same share of its proposals, whatever their number.
    """
    videos = [v for v in truth if truth[v]]
    total = sum(len(p) for p in proposals.values())
    share = max_proposals * float(len(videos)) / max(total, 1)
    first_hits, num_retrieved = [], 0  # (rank of the first hit, proposals of its video)
    for video in videos:
        found = proposals.get(video, [])
        number = min(int(len(found) * share), len(found))
        num_retrieved += number
        best = [found[i]['segment'] for i in by_falling_score(found)[:number]]
        for segment in (a['segment'] for a in truth[video]):
            tious = [plain_tiou(segment, one) for one in best]
            # Without any length the official quotient is not a number, which reaches nothing.
            hits = [r for r, tiou in enumerate(tious) if threshold <= tiou < float('inf')]
            first_hits.append((hits[0] if hits else float('inf'), number))
    if not num_retrieved:
        return [0.0] * 100
    curve = []
    for percent in range(1, 101):
        share = percent / 100.0 * (max_proposals * float(len(videos)) / num_retrieved)
        curve.append(mean(rank < min(int(n * share), n) for rank, n in first_hits))
    return curve


def plain_area(curve: list[float], positions: list[float]) -> float:
    """Area under a curve, by trapezoids."""
    return sum(
        (positions[k] - positions[k - 1]) * (curve[k] + curve[k - 1]) / 2
        for k in range(1, len(curve))
    )


# --- ActionFormer's evaluator ---------------------------------------------------------------------


def plain_topk_recall(truth, detections, label, threshold, k) -> float:
    """Of one class: ``k`` detections for every true segment of the class in the video."""
    hits = total = 0
    for video, entries in truth.items():
        true = [entry['segment'] for entry in entries if entry['label'] == label]
        found = [entry for entry in detections.get(video, []) if entry['label'] == label]
        best = [found[i]['segment'] for i in by_falling_score(found)[: k * len(true)]]
        total += len(true)
        for segment in true:
            tious = [plain_tiou(segment, one) for one in best]
            hits += any(threshold <= tiou < float('inf') for tiou in tious)
    return hits / total


def plain_distinct(truth) -> dict:
    """Without segments that have no length, and repeated ones (to a thousandth of a second)."""
    result: dict[str, list] = {}
    for video, entries in truth.items():
        result[video] = []
        for entry in entries:
            (start, end), label = entry['segment'], entry['label']
            again = any(
                abs(start - kept['segment'][0]) <= 1e-3
                and abs(end - kept['segment'][1]) <= 1e-3
                and label == kept['label']
                for kept in result[video]
            )
            if end - start >= 1e-3 and not again:
                result[video].append(entry)
    return result


# --- what tests compare with ----------------------------------------------------------------------


def of_class(per_video: dict, label: str) -> dict:
    chosen = {v: [a for a in entries if a['label'] == label] for v, entries in per_video.items()}
    return {v: entries for v, entries in chosen.items() if entries}


def plain_map(truth, detections, thresholds) -> list[float]:
    """Mean over classes of the ground truth, for each threshold."""
    parts = [(c, of_class(truth, c), of_class(detections, c)) for c in classes_of(truth)]
    return [
        mean(plain_average_precision(true, found, c, t) for c, true, found in parts)
        for t in thresholds
    ]


def expected_figures(kind: str, truth, detections, thresholds) -> dict:
    """In the form of the files of official figures: ``map``, ``recall`` or ``actionformer``."""
    if kind == 'map':
        values = plain_map(truth, detections, thresholds)
        return dict(mAP=values, avg=mean(values))
    if kind == 'recall':
        return expected_recall(truth, detections, 10)
    distinct = plain_distinct(truth)
    return dict(
        mAP=plain_map(distinct, detections, thresholds),
        recall={
            str(k): [
                mean(plain_topk_recall(distinct, detections, c, t, k) for c in classes_of(distinct))
                for t in thresholds
            ]
            for k in (1, 5)
        },
    )


def expected_recall(truth, proposals, max_proposals) -> dict:
    curves = [plain_recall(truth, proposals, t, max_proposals) for t in RECALL_THRESHOLDS]
    average = [mean(values) for values in zip(*curves)]
    positions = [percent / 100.0 * max_proposals for percent in range(1, 101)]
    return dict(
        max_avg_nr_proposals=max_proposals,
        proposals_per_video=positions,
        avg_recall=average,
        auc_percent=100 * plain_area(average, positions) / positions[-1],
    )
