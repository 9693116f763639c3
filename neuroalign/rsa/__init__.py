"""Representational similarity: distances between conditions, and how alike two geometries are.

In: responses or features (sample, ...) whose rows are named by condition. Out: RDMs, DataArrays
(..., first, second) or (..., pair), their similarities, and tests of models against data.
To add a distance: a kernel of patterns (stack, condition, channel) in ``_kernels`` or of cells in
``_crossvalidated``, and its row in ``distances.DISTANCES``. To add a comparison: a kernel of
(a, pair) and (b, pair), and its row in ``comparisons.COMPARISONS``.

Coming from rsatoolbox (names of distances and comparisons: ``distances``, ``comparisons``):

===========================================  ===================================================
``Dataset(measurements, obs_descriptors)``   ``loaders.from_arrays``: one coord a descriptor
``RDMs(dissimilarities)``                    ``rsa.from_matrix``, ``rsa.from_rsatoolbox``
``load_rdm``, ``RDMs.save``                  ``loaders.load_rdms``, ``loaders.to_rsatoolbox``
``calc_rdm``, ``calc_rdm_unbalanced``        ``rsa.compute_rdm`` (``fold=`` is the cv_descriptor)
``calc_rdm_movie``                           ``rsa.compute_time_rdms``
``prec_from_measurements``, ``_residuals``   ``rsa.estimate_noise``
``rdm.compare``                              ``rsa.compare_rdms``: aligned by label
``concat``, ``RDMs.mean``                    ``rsa.stack_rdms``, ``rsa.average_rdms``
``RDMs.subset_pattern``, ``get_matrices``    ``rsa.to_condensed``, ``rsa.to_square``
``ModelFixed``, ``ModelSelect``              ``rsa.FixedModel``, ``rsa.SelectionModel``
``ModelWeighted``, ``ModelInterpolate``      ``rsa.WeightedModel``, ``rsa.InterpolatedModel``
``get_categorical_rdm``                      ``rsa.categorical_rdm``
``eval_fixed``, ``eval_bootstrap...``,       ``rsa.infer`` (``bootstrap=``, ``cross_validate=``,
``eval_dual_bootstrap``, ``crossval``        ``n_permutations=``)
``boot_noise_ceiling``                       ``rsa.noise_ceiling``
``get_volume_searchlight``                   ``rsa.find_neighborhoods``: ``<=``, theirs is ``<``
``get_searchlight_RDMs``                     ``rsa.compute_searchlight_rdms``
``evaluate_models_searchlight``              ``rsa.run_searchlight``
``show_rdm``, ``show_MDS``                   ``report.plot_rdm``, ``report.plot_mds``
``plot_model_comparison``                    ``report.plot_models``
===========================================  ===================================================
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
