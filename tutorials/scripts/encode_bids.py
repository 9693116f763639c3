"""Which layer of a network explains which voxels: an encoding model on BIDS derivatives.

Run ``python encode_bids.py ROOT SUBJECT TASK IMAGES OUT``: a BIDS folder with fMRIPrep derivatives,
whose events name images that came back in several runs; the folder of those images; a folder to
write to.
"""

import sys
from pathlib import Path

import neuroalign as na

root, subject, task, pictures, out = sys.argv[1:6]
out_folder = Path(out)
out_folder.mkdir(parents=True, exist_ok=True)

# Volumes with drifts still in them: those are modelled together with the trials.
volumes = na.loaders.load_bids(
    root, subject=subject, task=task, derivatives="fmriprep", mask="brain", stimulus=None
)
events = na.loaders.find_bids_events(root, subject=subject, task=task, derivatives="fmriprep")
trials = na.loaders.estimate_betas(volumes, events)
trials = na.align.zscore_sessions(trials, by="run")
print(f"{trials.sizes['sample']} trials of {trials.sizes['neuroid']} voxels")

ceiling = na.ceilings.split_half(trials)["ceiling"]
responses = na.align.average_repeats(trials)

# Put your own network here: any torch module, its layers by name.
network = na.models.SmallConvNet(seed=0)
layers = na.features.extract(
    network,
    na.loaders.list_stimuli(pictures),
    ["stages.stage1", "stages.stage3"],
    pool="mean",
)

results = {}
for name, layer in layers.items():
    data = na.align.match(layer, responses)
    results[name] = na.evaluate.cross_validate(
        na.encoders.Ridge(),
        data.features,
        data.responses,
        group=None,
        ceiling=ceiling,
        n_permutations=99,
    )
    score = results[name]["mean_score"]
    good = int((results[name]["q_value"] < 0.05).sum())
    print(f"{name}: mean r {float(score.mean()):.3f}, {good} voxels at q < 0.05")
    na.loaders.to_nifti(score, out_folder / f"{name}.nii.gz")
na.report.write_html(results, out_folder / "report.html", title=f"{task} of sub-{subject}")
