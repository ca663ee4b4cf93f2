"""What a reward model says of each logged decision; the input of the model-based estimators."""

from __future__ import annotations

from dataclasses import dataclass

from recsys.contracts.errors import EvaluationError
from recsys.evaluation.ope.log import BanditLog
from recsys.evaluation.stats.estimate import FloatArray, check_finite


@dataclass(frozen=True, slots=True)
class Predictions:
    """``logged``: predicted reward of the logged action, q(x, a). ``target``: its mean under the target
    policy, sum over a of pi(a | x) q(x, a). Both ``(n,)``, and made by a model that has not seen the row
    (``reward_model``).
    """

    logged: FloatArray
    target: FloatArray

    def check_against(self, log: BanditLog) -> None:
        """Raise ``EvaluationError`` unless there is one finite prediction of each kind per row of ``log``."""
        if self.logged.shape != log.reward.shape or self.target.shape != log.reward.shape:
            raise EvaluationError("the reward model must predict every row of the log")
        check_finite(self.logged, "predicted rewards of the logged actions")
        check_finite(self.target, "predicted rewards of the target policy")
