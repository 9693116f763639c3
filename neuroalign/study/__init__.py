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
the study, ``{use: room.name, ...}`` is an object such as an encoder, and
``{checkpoints: "ckpt/step-*.pt", model: {use: models.SmallConvNet}}`` maps training steps to
networks. ``each: features`` calls once for every member of what ``features`` names, such as the
layers of a network. Sections: ``data``, ``features``, ``encoding``, ``rsa``, ``similarity``,
``latents``, ``decoding``, ``convergence``, ``statistics``. What Python writes in a line has a name
here: ``study.select_samples`` (by conditions, runs, sessions), ``study.chain`` (steps and an
encoder), ``study.fit_latents``, ``study.summarise_layers``, ``study.cut_images``.

Conditions and runs are left out by ``study.select_samples``; entries below read ``"@task"``::

    task:
      call: study.select_samples
      with: {data: "@brain", drop: {stimulus: rest, run: [run-03, run-07]}}

What is done is kept: results are named by what goes into them. So each plan reads every file that
the study names once, to hash it; ``--dry-run`` too. A folder of results belongs to the
study file that filled it: that file may be edited, another one is refused unless ``--update`` is
given (see `neuroalign.study.records`). A task whose inputs alone are more than ``memory_budget`` is
refused: before any work where they are files, files opened by ``storage.load`` or stored results,
else when its turn comes, before it computes (see `neuroalign.study.memory`). Calls of
``convergence`` that are killed go on from the last checkpoint.

``neuroalign encode``, ``rsa``, ``compare``, ``latents`` and ``demo`` write such a file into their
``--out`` and run it. ``neuroalign converge`` runs the section ``convergence`` alone.
Exit codes of the commands: 0 done, 1 the run failed, 2 wrong usage, 3 bad data or a bad study, 130
interrupted. With ``--json`` one object is printed: ``report`` is the path of the page, ``results``
holds for each entry on it the ``verdict`` that the terminal shows and its ``numbers``.

In Python: `read_study`, `plan_study`, `run_study`, `verify_study`, `reproduce_study`.

Executors: ``serial``, ``processes``, ``dask``, ``slurm``. To add one: a function and its row in
``executors.EXECUTORS``; to add a piece of a study: a function in ``pieces`` and its row in
``calls.DIRECT``; to add a command: see ``commands``.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
