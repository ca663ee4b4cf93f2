"""Ranking metrics, one file each, over a :class:`~recsys.evaluation.ranking_metrics.judged.Judged` matrix."""
