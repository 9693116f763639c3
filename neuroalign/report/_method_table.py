"""What each method is called in a paper, and whom to cite: rows to extend.

To add a method: its name, as results bear it, with words that go on in a sentence, and keys of
``references.bib``. A method without a row is named on the page, and nothing is said of it.
"""

from typing import NamedTuple


class Method(NamedTuple):
    """Words of a sentence, and keys of ``references.bib``."""

    words: str
    cites: tuple[str, ...] = ()


# attrs['model'] of encoding results: classes by which responses are predicted.
ENCODERS = {
    "BandedRidge": Method("banded ridge regression", ("nunez2019", "dupre2022")),
    "CategoryMean": Method("the mean response to the same category"),
    "FractionalRidge": Method("fractional ridge regression", ("rokem2020",)),
    "KernelRidge": Method("kernel ridge regression", ("saunders1998",)),
    "MeanResponse": Method("the mean response to the training stimuli"),
    "PLS": Method("partial least squares regression", ("wold2001",)),
    "PoissonGLM": Method("Poisson regression of spike counts", ("truccolo2005", "pillow2008")),
    "PrincipalComponents": Method("principal components of the training rows"),
    "Ridge": Method("ridge regression", ("hoerl1970",)),
    "SparseProjection": Method("a sparse random projection"),
    "StackedRidge": Method("stacked ridge regressions", ("breiman1996",)),
    "StandardScaler": Method("features standardised on the training rows", ("sklearn",)),
    "TemporalReceptiveField": Method("a temporal response function", ("crosse2016",)),
}
# Classes that only hold others.
CONTAINERS = {"Pipeline", "FromSklearn", "TransformedTargetRegressor"}
METRICS = {
    "bits_per_spike": Method("bits per spike beyond the mean rate", ("pillow2008",)),
    "pearson": Method("the Pearson correlation"),
    "pseudo_r2": Method("the share of Poisson deviance explained"),
    "r2": Method("the coefficient of determination"),
    "spearman": Method("the Spearman rank correlation"),
}
CEILINGS = {
    "explainable_variance": Method("the explainable variance of repeats", ("hsu2004",)),
    "ncsnr": Method("the ratio of signal to noise across repeats", ("allen2022",)),
    "signal_power": Method("the power that repeats share", ("sahani2003", "schoppe2016")),
    "split_half": Method(
        "the correlation of random halves of repeats, corrected for their length",
        ("spearman1910", "brown1910"),
    ),
}
DISTANCES = {
    "city_block": Method("city-block distances"),
    "correlation": Method("correlation distances", ("kriegeskorte2008",)),
    "cosine": Method("cosine distances"),
    "crossnobis": Method("cross-validated Mahalanobis (crossnobis) distances", ("walther2016",)),
    "decoding_accuracy": Method("accuracies of pairwise decoding", ("walther2016",)),
    "euclidean": Method("Euclidean distances"),
    "linear_discriminant_contrast": Method("linear discriminant contrasts", ("walther2016",)),
    "mahalanobis": Method("Mahalanobis distances", ("walther2016",)),
    "squared_euclidean": Method("squared Euclidean distances"),
}
# How two RDMs are compared.
COMPARISONS = {
    "cosine": Method("cosine similarity"),
    "pearson": Method("Pearson correlation"),
    "rho_a": Method("the rank correlation rho-a", ("schutt2023",)),
    "spearman": Method("Spearman rank correlation"),
    "tau_a": Method("the rank correlation tau-a", ("nili2014",)),
    "tau_b": Method("the rank correlation tau-b"),
    "whitened_correlation": Method("whitened correlation", ("diedrichsen2021",)),
    "whitened_cosine": Method("whitened cosine similarity", ("diedrichsen2021",)),
}
SIMILARITIES = {
    "cca": Method("canonical correlations", ("hotelling1936",)),
    "cca_held_out": Method("held-out canonical correlations", ("hotelling1936",)),
    "cca_squared": Method("squared canonical correlations", ("hotelling1936",)),
    "cka": Method("centred kernel alignment", ("kornblith2019",)),
    "cka_angle": Method("the angle of centred kernels", ("kornblith2019", "williams2021")),
    "cka_debiased": Method("debiased centred kernel alignment", ("kornblith2019", "murphy2024")),
    "cknna": Method("kernel alignment over nearest neighbours", ("huh2024",)),
    "cknna_published": Method("kernel alignment over nearest neighbours", ("huh2024",)),
    "distance_correlation": Method("distance correlation", ("szekely2007",)),
    "distance_correlation_debiased": Method("debiased distance correlation", ("szekely2013",)),
    "hsic": Method("the Hilbert-Schmidt independence criterion", ("gretton2005",)),
    "hsic_debiased": Method(
        "the unbiased Hilbert-Schmidt independence criterion", ("gretton2005", "song2012")
    ),
    "linear_predictivity": Method("linear predictivity of held-out stimuli"),
    "mutual_neighbors": Method("the share of mutual nearest neighbours", ("huh2024",)),
    "one_to_one_matching": Method("one-to-one matching of units", ("li2016",)),
    "permutation_angle": Method("the angle after permuting units", ("williams2021",)),
    "procrustes": Method("Procrustes distance", ("schonemann1966", "williams2021")),
    "procrustes_angle": Method("the angle after rotation", ("schonemann1966", "williams2021")),
    "pwcca": Method("projection-weighted canonical correlations", ("morcos2018",)),
    "rsa": Method("representational similarity analysis", ("kriegeskorte2008",)),
    "rv": Method("the RV coefficient", ("robert1976",)),
    "semi_matching": Method("matching of each unit with its best partner", ("li2016",)),
    "soft_matching": Method("soft matching of units", ("khosla2024",)),
    "svcca": Method("canonical correlations of principal components", ("raghu2017",)),
    "symmetric_predictivity": Method("linear predictivity in both directions"),
}
# attrs['method'] of estimates of latents: the class that was fitted.
LATENTS = {
    "AutoregressiveHMM": Method("an autoregressive hidden Markov model", ("hamilton1990",)),
    "BlockModel": Method("a weighted stochastic block model", ("aicher2015",)),
    "DemixedPCA": Method("demixed principal component analysis", ("kobak2016",)),
    "DynamicConnectome": Method("non-negative factors of momentary affinities", ("dyballa2024",)),
    "DynamicModes": Method("dynamic mode decomposition", ("tu2014",)),
    "ExtendedDynamicModes": Method("extended dynamic mode decomposition", ("williams2015",)),
    "FactorAnalysis": Method("factor analysis", ("rubin1982",)),
    "GPFA": Method("Gaussian-process factor analysis", ("yu2009",)),
    "HMM": Method("a hidden Markov model", ("rabiner1989",)),
    "Hyperalignment": Method("hyperalignment", ("haxby2011",)),
    "LinearDynamics": Method("a linear dynamical system", ("ghahramani1996",)),
    "MMGPVAE": Method("a multi-modal Gaussian-process autoencoder", ("gondur2024",)),
    "PoissonGPFA": Method("Gaussian-process factor analysis of counts", ("yu2009", "gondur2024")),
    "ProbabilisticPCA": Method("probabilistic principal component analysis", ("tipping1999",)),
    "ReducedRankRegression": Method("reduced-rank regression", ("izenman1975", "semedo2019")),
    "SharedResponse": Method("the shared response model", ("chen2015",)),
    "SwitchingLinearDynamics": Method("a switching linear dynamical system", ("ghahramani2000",)),
}
# attrs['method'] of everything else, without what stands in brackets behind it: a whole clause.
ESTIMATES = {
    "RSA": Method(
        "Models were compared with data by representational similarity analysis",
        ("kriegeskorte2008", "nili2014", "schutt2023"),
    ),
    "adaptive distance correlation": Method(
        "Thresholds were found at which two RDMs depend on each other most", ("lin2018",)
    ),
    "analyse_factors": Method("Scores were fitted by a linear mixed model", ("laird1982",)),
    "audit_similarity": Method(
        "Similarity of representations was held against the features that both compute",
        ("lampinen2024",),
    ),
    "bootstrap_interval": Method("Intervals come from a bootstrap over units", ("efron1987",)),
    "bootstrap_scores": Method("Intervals of scores come from a bootstrap over units"),
    "ccgp": Method("Generalisation across conditions was decoded", ("bernardi2020",)),
    "circular_coordinates": Method(
        "Circular coordinates were found from persistent cohomology", ("desilva2011",)
    ),
    "circular_correlation": Method("Angles were compared by circular correlation", ("fisher1983",)),
    "co-smoothing": Method(
        "Hidden units were predicted from the others (co-smoothing)", ("pei2021",)
    ),
    "compare_behaviour": Method(
        "Answers decoded from each predictor were compared with those of subjects",
        ("nayebi2023", "rajalingham2018"),
    ),
    "compare_fields": Method(
        "Fields of units were compared before and after learning", ("mehta2000", "stachenfeld2017")
    ),
    "compare_futures": Method(
        "Courses of responses to films were predicted from each predictor and from other animals, "
        "and correlations divided by the consistency of responses and predictions",
        ("nayebi2023",),
    ),
    "compare_models": Method("Models were compared by flipping signs of paired differences"),
    "compare_motion": Method(
        "Variance of courses was divided among features of single frames and of motion",
        ("lescroart2015",),
    ),
    "compare_order": Method(
        "The order of half-times was held against maps of the cortex",
        ("raugel2025", "alexanderbloch2018"),
    ),
    "compare_weights": Method("Weights were compared before and after learning", ("liu2024",)),
    "correct_consistency": Method(
        "Correlations were divided by the consistency of responses and predictions", ("nayebi2023",)
    ),
    "correlate_states": Method(
        "Likeness of the population in two states was related to their distance",
        ("stachenfeld2017",),
    ),
    "cross-validated spectrum": Method(
        "The eigenspectrum is that of the part that repeats (cvPCA)", ("stringer2019",)
    ),
    "decode_across_conditions": Method(
        "Classes were decoded in conditions not trained on", ("kaplan2015",)
    ),
    "decode_across_time": Method(
        "Classes were decoded at every time from decoders of every time", ("king2014",)
    ),
    "decode_classes": Method(
        "Classes were decoded by a cross-validated linear classifier", ("brodersen2010",)
    ),
    "decode_searchlight": Method("Classes were decoded in searchlights", ("kriegeskorte2006",)),
    "dichotomies": Method(
        "Every balanced dichotomy of conditions was described", ("bernardi2020",)
    ),
    "encode_layers": Method(
        "Every neuroid was predicted from every layer by a cross-validated encoder"
    ),
    "encoding_score": Method("Scores of layers were averaged over neuroids", ("raugel2025",)),
    "estimate_modes": Method(
        "Linear maps between steps were found by dynamic mode decomposition", ("tu2014",)
    ),
    "explain_variance": Method(
        "Variance of a representation was divided among named features", ("lampinen2024",)
    ),
    "explainable_variance": Method(
        "The noise ceiling is the explainable variance of repeats", ("hsu2004",)
    ),
    "find_clusters": Method("Clusters were tested by flipping signs of whole maps", ("maris2007",)),
    "find_half_times": Method("Half-times of scores over training were found", ("raugel2025",)),
    "forward prediction": Method(
        "Last bins of trials were predicted from earlier ones", ("pei2021",)
    ),
    "fusion": Method(
        "RDMs of times were compared with RDMs of regions (fusion)", ("cichy2014", "hebart2018")
    ),
    "generalisation of RDMs over time": Method("RDMs were compared between times", ("king2014",)),
    "infer_across_time": Method(
        "Generalisation over time was tested over subjects by flipping signs of maps",
        ("maris2007",),
    ),
    "intersubject RSA": Method(
        "Likeness of behaviour was compared with likeness of responses", ("mantel1967", "finn2020")
    ),
    "intersubject correlation": Method(
        "Responses of subjects were correlated with each other", ("hasson2004", "nastase2019")
    ),
    "intersubject functional connectivity": Method(
        "Regions of a subject were correlated with those of all others", ("simony2016",)
    ),
    "latent scores": Method("Latent models were scored on held-out trials", ("pei2021",)),
    "leave-one-subject-out nearest centroid": Method(
        "The source of each RDM was found by nearest centroid", ("lin2024",)
    ),
    "map_places": Method("Responses were mapped over places", ("skaggs1993",)),
    "match_modules": Method(
        "Modules of a model were matched one to one with regions of the brain", ("fang2024",)
    ),
    "measure_distances": Method(
        "Distances from a region were measured along the cortex", ("dijkstra1959",)
    ),
    "measure_fields": Method("Places, widths and skews of fields were measured", ("mehta2000",)),
    "measure_laziness": Method(
        "Kernels of a network were compared before and after learning", ("liu2024",)
    ),
    "ncsnr": Method(
        "The noise ceiling comes from the ratio of signal to noise across repeats", ("allen2022",)
    ),
    "noise ceiling": Method(
        "Bounds of the noise ceiling come from the RDMs of subjects", ("nili2014",)
    ),
    "normalized_correlation": Method(
        "Correlations were corrected for noise in the responses", ("schoppe2016",)
    ),
    "parallelism": Method(
        "Parallelism of differences between conditions was measured", ("bernardi2020",)
    ),
    "partition_variance": Method("Variance was divided among feature spaces", ("lescroart2015",)),
    "persistence": Method(
        "Persistence diagrams come from the Vietoris-Rips filtration",
        ("edelsbrunner2002", "bauer2021"),
    ),
    "representation_topology_divergence": Method(
        "Representations were compared by their topology divergence", ("barannikov2022",)
    ),
    "retrieval": Method("Stimuli were retrieved by their decoded embeddings", ("scotti2023",)),
    "run_searchlight": Method(
        "RDMs of searchlights were compared with models", ("kriegeskorte2006",)
    ),
    "signal_power": Method(
        "The noise ceiling comes from the power that repeats share", ("sahani2003", "schoppe2016")
    ),
    "spatial_score": Method(
        "Preferred depths were correlated with places on the cortex",
        ("raugel2025", "alexanderbloch2018"),
    ),
    "spin_test": Method(
        "Maps were compared against random rotations of the cortex", ("alexanderbloch2018",)
    ),
    "splitter_index": Method(
        "Types of trials were decoded from a path that they share", ("wood2000", "fang2024")
    ),
    "split-half reliability of RDMs": Method(
        "The reliability of RDMs comes from halves of data",
        ("spearman1910", "brown1910", "walther2016"),
    ),
    "split_half": Method(
        "The noise ceiling comes from random halves of repeats", ("spearman1910", "brown1910")
    ),
    "temporal_score": Method(
        "The depth of layers was correlated with the time at which each predicts best",
        ("raugel2025",),
    ),
    "trace": Method("Scores were followed over training", ("raugel2025",)),
    "trace_alignment": Method("Kernels were aligned between checkpoints", ("liu2024",)),
    "two_nn": Method(
        "Intrinsic dimension was estimated from the two nearest neighbours", ("facco2017",)
    ),
    "variance partitioning": Method("Variance of RDMs was divided among models", ("nimon2008",)),
}
# Names in provenance.versions that have a paper.
SOFTWARE = {
    "numpy": "numpy", "scikit-learn": "sklearn", "scipy": "scipy", "torch": "torch",
    "xarray": "xarray",
}  # fmt: skip
