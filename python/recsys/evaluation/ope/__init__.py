"""Off-policy evaluation: what a target policy would have earned, from the logs of another; one file per
estimator.

Single decisions (one row per exposed item) use ``BanditLog``: ``ips``, ``snips``, ``dm``, ``dr``, ``sndr``,
``switch_dr``, ``dros``. Whole lists use ``ListLog``: ``standard_ips``, ``independent_ips``,
``reward_interaction_ips``, ``cascade_dr``. Every estimator returns an ``OpeEstimate`` whose interval treats
users as the independent units.
"""
