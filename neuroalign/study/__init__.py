"""Whole studies: a file says what is called, a folder holds what came out.

In: a YAML file. Out: a folder with one checked result for each entry, ``study.json``, and
``report.html``. ``neuroalign run study.yaml`` runs what is not done; ``--dry-run`` shows the plan.
A study for recordings and features that were saved by ``storage.save``::

    title: One layer, one brain
    seed: 1
    data:
      brain: {call: storage.load, with: {path: {path: responses.zarr}}}
    features:
      net: {call: storage.load, with: {path: {path: layer4.zarr}}}
      matched: {call: align.match, with: {features: "@net", responses: "@brain"}}
    encoding:
      ridge:
        call: evaluate.cross_validate
        with:
          encoder: {use: encoders.Ridge}
          features: "@matched.features"
          responses: "@matched.responses"
          group: null  # folds over stimuli: each comes back in several runs
    rsa:
      rdm: {call: rsa.compute_rdm, with: {responses: "@brain", distance: crossnobis, fold: run}}
    run: {executor: processes, workers: 2, memory_budget: 4GB}

``call`` names a public function, ``with`` gives its options, checked against its signature before
anything runs. ``"@name"`` is the result of an entry above, ``"@name.part"`` a variable or a member
of it. ``{path: ...}``, ``{glob: ...}``, ``{stimuli: ...}`` and ``{events: ...}`` are files beside
the study, ``{use: room.name, ...}`` is an object such as an encoder. ``each: features`` calls once
for every member of what ``features`` names, such as the layers of a network. Sections: ``data``,
``features``, ``encoding``, ``rsa``, ``similarity``, ``latents``, ``decoding``, ``convergence``,
``statistics``. Executors: ``serial``, ``processes``, ``dask``, ``slurm``.
To add one: a function and its row in ``executors.EXECUTORS``.
"""
