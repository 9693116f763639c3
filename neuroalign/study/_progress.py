"""What a run says as its tasks begin and end."""

from collections.abc import Callable

from neuroalign.study.results import Results
from neuroalign.study.tasks import Task


class Progress:
    """Counts the tasks of a run, and says a line for each.

    Parameters
    ----------
    say : callable
        Takes a line.
    results : Results
    todo : dict of str to Task
    starts : bool
        Say also when a task begins.
    """

    def __init__(
        self, say: Callable[[str], None], results: Results, todo: dict[str, Task], *, starts: bool
    ) -> None:
        self.say, self.results, self.todo, self.starts = say, results, todo, starts
        self.begun: set[str] = set()
        self.done = 0

    def begin(self, name: str) -> None:
        """Say that a task begins; one that begins again after its worker died counts once."""
        self.begun.add(name)
        if self.starts:
            self.say(f"{name}: begun ({len(self.begun)} of {len(self.todo)})")

    def finish(self, name: str) -> None:
        """Say that a task is done, how long it took, and of what it warned."""
        self.done += 1
        record = self.results.read_record(self.todo[name])
        self.say(f"{name}: done in {record['seconds']:.3g} s ({self.done} of {len(self.todo)})")
        for warning in record["warnings"]:
            self.say(f"{name}: warning: {warning}")
