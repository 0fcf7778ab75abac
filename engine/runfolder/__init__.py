"""The run folder: paths, atomic writes, the event stream, status and control. No torch, no Textual."""

from engine.runfolder.atomic import atomic_open, write_bytes, write_text, write_with
from engine.runfolder.careful import read_object, read_text, zip_members
from engine.runfolder.cases import CaseRow, read_cases, read_cells
from engine.runfolder.control import Request, send, take
from engine.runfolder.label import Label, read_label, shown_name, write_label
from engine.runfolder.lock import is_locked, release_lock, take_lock
from engine.runfolder.manifest import DataFacts, Machine, Manifest, read_manifest, update_manifest
from engine.runfolder.names import example_file, file_name
from engine.runfolder.paths import RunFolder, create, find_run, list_runs, refuse_links, size_of, sweep
from engine.runfolder.regular import most_unpacked, open_regular, read_small
from engine.runfolder.splits import SplitRow, read_splits, write_splits
from engine.runfolder.status import (
    ENDED,
    State,
    Status,
    own_status,
    read_status,
    stored_status,
    write_status,
)
from engine.runfolder.stream import EventReader, EventWriter
from engine.runfolder.summary import Bounds, SplitSummary, read_metrics, write_metrics
