"""Low-dimensional structure of populations: one API, and scores that cannot flatter.

In: counts or signals (sample, neuroid[, time]), ragged trials with ``valid``. Out: fitted models
that give latents, rates and likelihoods, and score reports with their null and their oracle.
To add a model: one file with a `LatentModel`, and its name in the stub beside this file: the
contract tests find it there.

=========================  ================  ===================  ==========================
Model                      Data              Trials or runs       Forecasts bins not yet seen
=========================  ================  ===================  ==========================
FactorAnalysis             signals           either, or averages  no (the mean)
ProbabilisticPCA           signals           either, or averages  no (the mean)
GPFA                       signals, counts   short trials         yes, about a timescale
PoissonGPFA                counts            either, also long    yes, about a timescale
MMGPVAE                    counts, behaviour trials               yes, about a timescale
LinearDynamics             signals, counts   either               yes
SwitchingLinearDynamics    signals, counts   either               yes
HMM                        signals, counts   either               yes, by its states
AutoregressiveHMM          signals           either               yes, by its states
KoopmanAutoencoder         signals           either               yes
DynamicModes               signals           either               yes (``predict``)
ExtendedDynamicModes       signals           either               yes (``predict``)
DemixedPCA                 trials' factors   trials of one length no
ReducedRankRegression      two areas         samples              no
SharedResponse             several subjects  same samples         no
Hyperalignment             several subjects  same samples         no
DynamicConnectome          several subjects  trials or one run    no
BlockModel                 one graph         none                 no
=========================  ================  ===================  ==========================

The first ten are a `LatentModel`: ``fit``, ``transform``, ``predict_rates``, ``log_prob``,
``sample``, ``score``, ``save`` and ``load``; `cosmooth`, `forecast` and `score_latents` take them.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
