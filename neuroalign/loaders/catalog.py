"""Datasets by name: what there is, what it holds, how to get it, how to load it.

To add a dataset: ``datasets/<name>/card.toml``; its loader is a public name of
``neuroalign.loaders``.
"""

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from tqdm import tqdm

from neuroalign.errors import DataCorruptionError, LoadError, choose, require, some
from neuroalign.loaders._agreements import agree_to_size, agree_to_terms, show_bytes
from neuroalign.loaders._cards import AXES, Card, RemoteFile, Route, describe_card, read_cards
from neuroalign.loaders._download import download
from neuroalign.loaders._http import Patience
from neuroalign.loaders._installed import INSTALLED
from neuroalign.loaders._routes import list_files
from neuroalign.loaders._shelf import (
    bytes_here,
    default_folder,
    describe_file,
    is_here,
    lock_folder,
    place,
    read_record,
    unpack_here,
    write_record,
)

NOT_FETCHED = ("manual", "installed")
PATIENCE = Patience()


def _find(name: str) -> Card:
    return choose(read_cards(), name, "name")


def _shelf_of(card: Card, folder: Path | str | None) -> Path:
    return (default_folder() if folder is None else Path(folder)) / card.name


def list_datasets(*, folder: Path | str | None = None) -> pd.DataFrame:
    """List the datasets that can be named, and what of them is already here.

    Parameters
    ----------
    folder : path, optional
        Where datasets are kept; ``NEUROALIGN_DATA``, else the platform's place for caches.

    Returns
    -------
    DataFrame
        One row a dataset, indexed by name: ``title``, ``modality``, ``size``, ``licence``,
        ``terms_required``, ``route``, ``here``.

    Examples
    --------
    >>> table = list_datasets()
    >>> table.loc[["simulated-fmri", "haxby"], "modality"].tolist()
    ['fmri', 'fmri']
    """
    rows = {}
    for name, card in read_cards().items():
        kind = card.routes[0].kind
        found = bytes_here(_shelf_of(card, folder))
        here = show_bytes(found) if found else "-"
        rows[name] = {
            "title": card.title,
            "modality": card.modality,
            "size": card.size,
            "licence": card.licence,
            "terms_required": card.terms_required,
            "route": kind,
            "here": "installed" if kind == "installed" else here,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def describe_dataset(name: str) -> str:
    """Say all that the card of a dataset says.

    Parameters
    ----------
    name : str
        One of :func:`list_datasets`.

    Returns
    -------
    str
        Lines: modality, size, licence, terms, citation, expected counts, routes, and each fact
        that could not be verified when the card was written.

    Raises
    ------
    ValueError
        For a name that no card has.

    Examples
    --------
    >>> describe_dataset("nsd").splitlines()[:2]
    ['nsd: Natural Scenes Dataset', 'modality: fmri (human)']
    """
    return "\n".join(describe_card(_find(name)))


def _by_hand(card: Card, shelf: Path) -> str:
    routes = "; ".join(f"{r.kind} {r.address} {r.note}".strip() for r in card.routes)
    return f"By hand: {card.manual or routes}. Put the files in {shelf}"


def _check_subjects(card: Card, subjects: Sequence[str] | None) -> list[str] | None:
    if subjects is None:
        return None
    if isinstance(subjects, str):
        raise ValueError(f"subjects: expected a list, got '{subjects}'. Write ['{subjects}'].")
    if not card.subjects:
        raise ValueError(
            f"subjects: expected none, as the card of '{card.name}' names no subjects, got "
            f"{some(subjects)}. Use include to fetch, and options to load."
        )
    return [choose({s: s for s in card.subjects}, subject, "subjects") for subject in subjects]


def _fetch_file(
    file: RemoteFile, shelf: Path, tell: Callable[[int], None], entries: dict[str, Any]
) -> None:
    if is_here(shelf, file, entries):
        return

    def record(path: Path, sha256: str) -> None:
        write_record(shelf, describe_file(path, file, sha256))

    download(file, place(shelf, file.path), patience=PATIENCE, tell=tell, record=record)


def _fetch_all(
    card: Card, route: Route, files: Sequence[RemoteFile], shelf: Path, progress: bool
) -> None:
    total = sum(file.size or 0 for file in files)
    bar: AbstractContextManager[Any] = tqdm(
        total=total or None,
        unit="B",
        unit_scale=True,
        desc=card.name,
        disable=not progress,
    )
    entries, before = read_record(shelf), 0
    with bar as shown:
        for file in files:
            base = before

            def tell(on_disk: int, base: int = base) -> None:
                shown.update(base + on_disk - shown.n)

            _fetch_file(file, shelf, tell, entries)
            before += (shelf / file.path).stat().st_size
            shown.update(before - shown.n)
            if file.unpack:
                unpack_here(shelf, file, entries)


def fetch_dataset(
    name: str,
    *,
    include: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    folder: Path | str | None = None,
    accept_terms: bool = False,
    yes: bool = False,
    progress: bool = True,
) -> Path:
    """Download a dataset, or the part of it that is not here yet.

    A transfer that broke, or a process that was killed, is resumed by the next call. A file has
    its final name only after its size and hash were verified; where the archive tells no hash,
    its size, and our own hash is kept for the next call.

    Parameters
    ----------
    name : str
        One of :func:`list_datasets`.
    include : sequence of str, optional
        Globs of paths; ``*`` crosses folders. Without them, what the card names.
    subjects : sequence of str, optional
        Names as on the card; the card's choice of files, of these subjects.
    folder : path, optional
        Where datasets are kept; ``NEUROALIGN_DATA``, else the platform's place for caches. The
        dataset gets a folder of its own name there.
    accept_terms : bool
        You have read the card's terms and accept them.
    yes : bool
        Download more than 1 GB without a question.
    progress : bool

    Returns
    -------
    Path
        The dataset's folder.

    Raises
    ------
    ValueError
        For an unknown name or subject, and where an agreement lacks and nobody can be asked.
    LoadError
        When it cannot be downloaded; the message says how to get it by hand.
    DataCorruptionError
        When what came is not what was expected.
    MissingExtraError
        Without pooch.

    Examples
    --------
    One whose makers ask for an agreement waits for it:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     try:
    ...         fetch_dataset("nsd", folder=folder)
    ...     except ValueError as error:
    ...         print(str(error)[:54])
    accept_terms: expected agreement to the terms of 'nsd'
    """
    card = _find(name)
    if isinstance(include, str):
        raise ValueError(
            f"include: expected a list of globs, got '{include}'. Write ['{include}']."
        )
    chosen = _check_subjects(card, subjects)
    shelf = _shelf_of(card, folder)
    routes = [route for route in card.routes if route.kind not in NOT_FETCHED]
    if not routes:
        if card.routes[0].kind == "installed":
            raise LoadError(
                f"{name}: expected a dataset to download, got one that is installed. "
                f"Use load_dataset('{name}')."
            )
        raise LoadError(f"{name}: expected a public address, got none. {_by_hand(card, shelf)}.")
    # Before anything is asked or listed.
    require("pooch", "data")
    with lock_folder(shelf):
        agree_to_terms(card, shelf, accept_terms)
        try:
            files = list_files(card, routes[0], include=include, subjects=chosen, patience=PATIENCE)
            entries = read_record(shelf)
            waiting = [file for file in files if not is_here(shelf, file, entries)]
            agree_to_size(card, waiting, shelf, yes)
            _fetch_all(card, routes[0], files, shelf, progress)
        except DataCorruptionError as error:
            raise DataCorruptionError(f"{error} {_by_hand(card, shelf)}.") from error
        except LoadError as error:
            raise LoadError(f"{error} {_by_hand(card, shelf)}.") from error
    return shelf


def _check_parts(card: Card, folder: Path, subject: str | None, options: Mapping[str, Any]) -> None:
    """Name what a dataset lacks; only a subject that was begun must be whole."""
    found: dict[str, dict[str, bool]] = {}
    for part in card.expected.parts:
        # Who asks for some sessions or runs has those checked by the loader.
        chosen = [f"{axis}s" for axis in AXES if f"{{{axis}}}" in part.glob]
        if any(option in options for option in (*chosen, *part.unless)):
            continue
        for label, (owner, glob) in part.expand().items():
            if subject is None or owner in ("", subject):
                # What a cut transfer left is not there.
                whole = (path for path in folder.glob(glob) if path.suffix != ".part")
                found.setdefault(owner, {})[label] = any(True for _ in whole)
    missing = [
        label
        for labels in found.values()
        if any(labels.values())
        for label, here in labels.items()
        if not here
    ]
    if missing:
        raise LoadError(
            f"{folder}: expected all of '{card.name}', got it without {some(missing)}. "
            f"Run: neuroalign fetch {card.name}."
        )


def _check_sizes(card: Card, loaded: Any, subject: str | None, options: Mapping[str, Any]) -> None:
    """Compare dims with the card; a dict has the one dim ``entry``."""
    own = {} if subject is None else card.expected.sizes_of.get(subject, {})
    labelled = isinstance(loaded, xr.DataArray | xr.Dataset)
    held = loaded.sizes if labelled else {"entry": len(loaded)}
    for dim, size in (card.expected.sizes | own).items():
        # Options may choose sessions or runs, or drop volumes; the loader checks what it is told.
        if held.get(dim) != size and not (options and dim == "sample"):
            raise LoadError(
                f"{card.name}: expected {size} along {dim}, got {held.get(dim)}. "
                "Fetch it again, or see which files are missing."
            )


def _find_loader(card: Card) -> Callable[..., Any]:
    if card.loader in INSTALLED:
        return INSTALLED[card.loader]
    room = import_module("neuroalign.loaders")
    if not card.loader or card.loader not in room.__all__:
        raise LoadError(
            f"{card.name}: expected a loader of the whole dataset, got "
            f"{f'the unknown {card.loader}' if card.loader else 'none'}. Fetch it, then load its "
            "files with the loader of their format."
        )
    loader: Callable[..., Any] = getattr(room, card.loader)
    return loader


def _check_options(loader: Callable[..., Any], options: Mapping[str, Any], first: int) -> None:
    accepted = inspect.signature(loader).parameters
    for option in options:
        choose(accepted, option, "options")
    for name, parameter in list(accepted.items())[first:]:
        if parameter.default is inspect.Parameter.empty and name not in options:
            own = "subject" if name == "subject" else f"options['{name}']"
            raise ValueError(
                f"{own}: expected a value, as {loader.__name__} needs one, got none. Give it."
            )


def load_dataset(
    name: str,
    *,
    subject: str | None = None,
    folder: Path | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Load a dataset that was fetched, or that needs no download.

    Parameters
    ----------
    name : str
        One of :func:`list_datasets`.
    subject : str, optional
        Passed to the loader; only this subject's files are then checked for gaps.
    folder : path, optional
        As given to :func:`fetch_dataset`.
    options : mapping, optional
        Further keywords of the dataset's loader, which :func:`describe_dataset` names.

    Returns
    -------
    DataArray, Dataset or dict
        What the loader gives.

    Raises
    ------
    ValueError
        For an unknown name, or an option that the loader does not take.
    FileNotFoundError
        When the dataset was not fetched.
    LoadError
        When runs, sessions or files are missing; the message names them.

    Examples
    --------
    >>> study = load_dataset("simulated-fmri", options={"n_samples": 40})
    >>> study["responses"].sizes["sample"]
    40
    """
    card = _find(name)
    loader = _find_loader(card)
    asked = {**card.loader_arguments, **({} if options is None else options)}
    inside = "{subject}" in card.loader_path
    if subject is None and inside:
        raise ValueError(f"subject: expected one of {some(card.subjects)}, got none. Name one.")
    if subject is not None:
        _check_subjects(card, [subject])
        asked |= {} if inside else {"subject": subject}
    _check_options(loader, asked, 0 if card.loader in INSTALLED else 1)
    if card.loader in INSTALLED:
        held = loader(**asked)
        _check_sizes(card, held, subject, options or {})
        return held
    shelf = _shelf_of(card, folder)
    if not shelf.is_dir() or not any(not n.startswith(".neuroalign") for n in os.listdir(shelf)):
        raise FileNotFoundError(
            f"{shelf}: expected the dataset '{name}', got none. Run: neuroalign fetch {name}."
        )
    _check_parts(card, shelf, subject, asked)
    loaded = loader(shelf / card.loader_path.replace("{subject}", subject or ""), **asked)
    _check_sizes(card, loaded, subject, options or {})
    return loaded
