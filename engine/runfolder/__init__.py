"""The run folder: paths, atomic writes, the event stream, status and control. No torch, no Textual."""

from engine.runfolder.atomic import atomic_open, sync_folder, write_bytes, write_text, write_with
from engine.runfolder.control import Command, Request, send, take
from engine.runfolder.names import example_file, file_name
from engine.runfolder.paths import RunFolder, create, find_run, list_runs, refuse_links, sweep
from engine.runfolder.status import ENDED, State, Status, own_status, read_status, write_status
from engine.runfolder.stream import EventReader, EventWriter

__all__ = [
    "ENDED",
    "Command",
    "EventReader",
    "EventWriter",
    "Request",
    "RunFolder",
    "State",
    "Status",
    "atomic_open",
    "create",
    "example_file",
    "file_name",
    "find_run",
    "list_runs",
    "own_status",
    "read_status",
    "refuse_links",
    "send",
    "sweep",
    "sync_folder",
    "take",
    "write_bytes",
    "write_status",
    "write_text",
    "write_with",
]
