"""CUPED: variance reduction by what each user did before the experiment.

Source: Deng, Xu, Kohavi and Walker (2013), "Improving the Sensitivity of Online Controlled Experiments by
Utilizing Pre-Experiment Data", WSDM: Y_cv = Y - theta (X - E X), theta = cov(Y, X) / var(X),
Var(Y_cv) = Var(Y)(1 - rho^2).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.stats.delta_method import difference
from recsys.evaluation.stats.estimate import Difference, FloatArray, Mean, check_finite


class Cuped(Struct, frozen=True, kw_only=True):
    """The adjusted arms, their difference, the slope used, and the share of the variance that the adjustment
    removed.
    """

    control: Mean
    candidate: Mean
    difference: Difference
    theta: float
    variance_reduction: float


def cuped(
    control: FloatArray,
    control_before: FloatArray,
    candidate: FloatArray,
    candidate_before: FloatArray,
    level: float,
) -> Cuped:
    """Return the adjusted comparison; one number per user, and the same user's pre-period number beside it.

    Users without a pre-period stand at the covariate's mean when the caller gives them that value: any fixed
    value leaves the estimate unbiased, because assignment does not depend on it. ``theta`` and the centre are
    pooled over both arms, so the adjustment cannot favour one; the sampling variance of each arm is that of
    its residuals around its own mean, with one more degree of freedom spent on the slope. A covariate that
    does not vary removes nothing.
    """
    for values, name in ((control, "control"), (candidate, "candidate")):
        if values.size < 3:
            raise EvaluationError(f"CUPED needs at least 3 users in each arm; the {name} has {values.size}")
    if control.shape != control_before.shape or candidate.shape != candidate_before.shape:
        raise EvaluationError("every user needs one pre-period value")
    check_finite(control_before, "pre-period values of the control")
    check_finite(candidate_before, "pre-period values of the candidate")
    # The slope is fitted within arms: a true effect on Y must not leak into it through the difference of the
    # arms' means.
    x = np.concatenate([control_before - control_before.mean(), candidate_before - candidate_before.mean()])
    y = np.concatenate([control - control.mean(), candidate - candidate.mean()])
    spread = float(x @ x)
    theta = float(x @ y) / spread if spread > 0.0 else 0.0
    centre = float(np.concatenate([control_before, candidate_before]).mean())
    adjusted_c = _adjusted(control, control_before, theta, centre)
    adjusted_t = _adjusted(candidate, candidate_before, theta, centre)
    plain = control.var(ddof=1) / control.size + candidate.var(ddof=1) / candidate.size
    after = adjusted_c.variance + adjusted_t.variance
    gap = difference(adjusted_c, adjusted_t, level)
    return Cuped(
        control=adjusted_c,
        candidate=adjusted_t,
        difference=Difference(
            value=gap.value,
            standard_error=gap.standard_error,
            low=gap.low,
            high=gap.high,
            p_value=gap.p_value,
            level=level,
            method="CUPED",
        ),
        theta=theta,
        variance_reduction=float(1.0 - after / plain) if plain > 0.0 else 0.0,
    )


def _adjusted(values: FloatArray, before: FloatArray, theta: float, centre: float) -> Mean:
    adjusted = values - theta * (before - centre)
    residuals = adjusted - adjusted.mean()
    variance = float(residuals @ residuals) / (adjusted.size - 2) / adjusted.size
    return Mean(value=float(adjusted.mean()), variance=variance, units=adjusted.size)
