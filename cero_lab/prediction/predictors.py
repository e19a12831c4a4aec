"""Who is compared: each belief with what it may know, and the rivals. A new one is a line in `PREDICTORS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cero_api import VipConfig
from cero_api._types import FloatArray, IntArray
from cero_api.beliefs import Features, GaussianBelief, OfflineRates, make_belief
from cero_lab.prediction.history import History
from cero_lab.prediction.rivals import Believed, GridFilter, Predictor

_VIP_PRIOR = VipConfig.presets["paper"]["prior"]
Maker = Callable[[History], Predictor]


def features(history: History) -> Features:
    """Length and source; of a synthetic pool, one that says something and one that does not."""
    return Features(history.features, history.num_prompts)


def noise(history: History, columns: int) -> Features:
    """Columns that say nothing."""
    rng = np.random.default_rng((1, columns))
    return Features(rng.normal(size=(history.num_prompts, columns)), history.num_prompts)


def with_noise(history: History) -> Features:
    """What is known, among 32 columns that say nothing."""
    rng = np.random.default_rng((1, 32))
    useless = rng.normal(size=(history.num_prompts, 32))
    return Features(np.column_stack([history.features, useless]), history.num_prompts)


def offline(history: History, shuffled: bool = False) -> OfflineRates:
    """Four samples of another model; or the same given to the wrong prompts."""
    passes = np.random.default_rng(2).permutation(history.offline) if shuffled else history.offline
    return OfflineRates(passes / 4, history.num_prompts, np.full(history.num_prompts, 4))


def classes(values: FloatArray) -> IntArray:
    """A class for each row that there is."""
    return np.asarray(np.unique(values.round(1), axis=0, return_inverse=True)[1].ravel(), dtype=np.int64)


PREDICTORS: Mapping[str, Maker] = {
    "`beta`: the uniform prior of the papers": lambda h: Believed(make_belief("beta", h.num_prompts)),
    "`pooled`": lambda h: Believed(make_belief("pooled", h.num_prompts)),
    "grid of log-odds": lambda h: GridFilter(h.num_prompts),
    "`features`": lambda h: Believed(make_belief("features", h.num_prompts, features=features(h))),
    "grid of log-odds, a class each": lambda h: GridFilter(h.num_prompts, classes(h.features)),
    "`gp`, VIP's": lambda h: Believed(make_belief("gp", h.num_prompts, features=features(h), prior=_VIP_PRIOR)),
    "`gp` with the published noise, $10^{-4}$": lambda h: Believed(
        GaussianBelief(h.num_prompts, features=features(h), prior=_VIP_PRIOR, noise=1e-4)
    ),
    "`features`, 64 of noise": lambda h: Believed(make_belief("features", h.num_prompts, features=noise(h, 64))),
    "`features`, among 32 of noise": lambda h: Believed(make_belief("features", h.num_prompts, features=with_noise(h))),
    "`beta` and offline rates": lambda h: Believed(make_belief("beta", h.num_prompts, offline=offline(h))),
    "`pooled` and offline rates": lambda h: Believed(make_belief("pooled", h.num_prompts, offline=offline(h))),
    "grid of log-odds, offline rates as classes": lambda h: GridFilter(h.num_prompts, h.offline),
    "`pooled` and offline rates of the wrong prompts": lambda h: Believed(
        make_belief("pooled", h.num_prompts, offline=offline(h, shuffled=True))
    ),
    "`features` and offline rates": lambda h: Believed(
        make_belief("features", h.num_prompts, features=features(h), offline=offline(h))
    ),
}
