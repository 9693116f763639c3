from .alf import load_alf as load_alf
from .alf import load_alf_events as load_alf_events
from .alf import load_alf_series as load_alf_series
from .algonauts import load_algonauts as load_algonauts
from .arrays import features_from_arrays as features_from_arrays
from .arrays import from_arrays as from_arrays
from .atlases import add_roi as add_roi
from .betas import estimate_betas as estimate_betas
from .bids import find_runs as find_runs
from .bids import load_bids as load_bids
from .bids_events import find_bids_events as find_bids_events
from .brainio import load_brainio as load_brainio
from .brainio import read_brainio_spikes as read_brainio_spikes
from .brainio import to_brainio as to_brainio
from .calcium import from_traces as from_traces
from .catalog import describe_dataset as describe_dataset
from .catalog import fetch_dataset as fetch_dataset
from .catalog import list_datasets as list_datasets
from .catalog import load_dataset as load_dataset
from .cifti import load_cifti as load_cifti
from .cifti import to_cifti as to_cifti
from .cortical_maps import load_cortical_maps as load_cortical_maps
from .dynamic_vision import load_dynamic_vision as load_dynamic_vision
from .dynamics_simulations import simulate_nascar as simulate_nascar
from .dynamics_simulations import simulate_oscillators as simulate_oscillators
from .dynamics_simulations import simulate_rotation as simulate_rotation
from .events import load_events as load_events
from .fmri import load_fmri as load_fmri
from .gifti import load_gifti as load_gifti
from .gifti import to_gifti as to_gifti
from .latent_simulations import simulate_gaussian_processes as simulate_gaussian_processes
from .latent_simulations import simulate_hidden_states as simulate_hidden_states
from .latent_simulations import simulate_linear_dynamics as simulate_linear_dynamics
from .latent_simulations import simulate_switching_dynamics as simulate_switching_dynamics
from .lebel import load_lebel as load_lebel
from .lebel import load_lebel_words as load_lebel_words
from .meg import load_continuous as load_continuous
from .meg import load_epochs as load_epochs
from .meg import load_meg as load_meg
from .meg_bids import load_meg_bids as load_meg_bids
from .mne_objects import from_mne as from_mne
from .mne_objects import to_mne as to_mne
from .narratives import load_narratives as load_narratives
from .neo_objects import events_from_neo as events_from_neo
from .neo_objects import from_neo as from_neo
from .neo_objects import read_neo as read_neo
from .network_simulations import simulate_block_graph as simulate_block_graph
from .network_simulations import simulate_communities as simulate_communities
from .nifti import to_nifti as to_nifti
from .nsd import load_nsd as load_nsd
from .nwb import describe_nwb as describe_nwb
from .nwb import load_nwb as load_nwb
from .nwb_traces import load_nwb_traces as load_nwb_traces
from .pereira import load_pereira as load_pereira
from .phy import load_phy as load_phy
from .pynapple_objects import events_from_pynapple as events_from_pynapple
from .pynapple_objects import from_pynapple as from_pynapple
from .rdm_files import load_rdms as load_rdms
from .rdm_files import to_rsatoolbox as to_rsatoolbox
from .scene_simulations import simulate_scenes as simulate_scenes
from .sequence_simulations import simulate_spike_motifs as simulate_spike_motifs
from .sequence_simulations import simulate_symbol_sequences as simulate_symbol_sequences
from .simulate import simulate_layered_cortex as simulate_layered_cortex
from .simulate import simulate_linear as simulate_linear
from .sources import load_source_estimates as load_source_estimates
from .spike_triggered import spike_triggered_average as spike_triggered_average
from .spike_triggered import spike_triggered_windows as spike_triggered_windows
from .spikes import bin_continuous as bin_continuous
from .spikes import bin_trials as bin_trials
from .spikes import compute_psth as compute_psth
from .spikes import from_spikes as from_spikes
from .stimuli import list_stimuli as list_stimuli
from .suite2p import load_suite2p as load_suite2p
from .surface import adjacency_of as adjacency_of
from .surface import project_to_surface as project_to_surface
from .things import load_things_fmri as load_things_fmri
from .things_meg import load_things_meg as load_things_meg
from .transcript import load_transcript as load_transcript
from .triggers import correct_to_triggers as correct_to_triggers

__all__ = [
    "add_roi",
    "adjacency_of",
    "bin_continuous",
    "bin_trials",
    "compute_psth",
    "correct_to_triggers",
    "describe_dataset",
    "describe_nwb",
    "estimate_betas",
    "events_from_neo",
    "events_from_pynapple",
    "features_from_arrays",
    "fetch_dataset",
    "find_bids_events",
    "find_runs",
    "from_arrays",
    "from_mne",
    "from_neo",
    "from_pynapple",
    "from_spikes",
    "from_traces",
    "list_datasets",
    "list_stimuli",
    "load_alf",
    "load_alf_events",
    "load_alf_series",
    "load_algonauts",
    "load_bids",
    "load_brainio",
    "load_cifti",
    "load_continuous",
    "load_cortical_maps",
    "load_dataset",
    "load_dynamic_vision",
    "load_epochs",
    "load_events",
    "load_fmri",
    "load_gifti",
    "load_lebel",
    "load_lebel_words",
    "load_meg",
    "load_meg_bids",
    "load_narratives",
    "load_nsd",
    "load_nwb",
    "load_nwb_traces",
    "load_pereira",
    "load_phy",
    "load_rdms",
    "load_source_estimates",
    "load_suite2p",
    "load_things_fmri",
    "load_things_meg",
    "load_transcript",
    "project_to_surface",
    "read_brainio_spikes",
    "read_neo",
    "simulate_block_graph",
    "simulate_communities",
    "simulate_gaussian_processes",
    "simulate_hidden_states",
    "simulate_layered_cortex",
    "simulate_linear",
    "simulate_linear_dynamics",
    "simulate_nascar",
    "simulate_oscillators",
    "simulate_rotation",
    "simulate_scenes",
    "simulate_spike_motifs",
    "simulate_switching_dynamics",
    "simulate_symbol_sequences",
    "spike_triggered_average",
    "spike_triggered_windows",
    "to_brainio",
    "to_cifti",
    "to_gifti",
    "to_mne",
    "to_nifti",
    "to_rsatoolbox",
]
