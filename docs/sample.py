"""A small report of simulated data, so that one can look at a page before making one."""

from pathlib import Path
from typing import Any

import neuroalign as na

PLACE = Path(__file__).parent / "_extra"


def write_sample(app: Any) -> None:
    """Write the page, unless an earlier build did."""
    path = PLACE / "report.html"
    if path.exists():
        return
    simulated = na.loaders.simulate_linear(n_neuroids=60, snr=1.0)
    encoding = na.evaluate.cross_validate(
        na.encoders.Ridge(), simulated.features, simulated.responses, n_permutations=100
    )
    rdm = na.rsa.compute_rdm(simulated.responses[:24])
    na.report.write_html({"an encoding model": encoding, "an RDM": rdm}, path, title="A sample")


def setup(app: Any) -> dict[str, bool]:
    """Hook into the build."""
    app.connect("builder-inited", write_sample)
    return {"parallel_read_safe": True}
