"""Run directories: where they lie, how one is made, found, and whether somebody looks after it."""

from cockpit.runs.care import SupervisorInfo as SupervisorInfo
from cockpit.runs.care import Taken as Taken
from cockpit.runs.care import TrainerInfo as TrainerInfo
from cockpit.runs.care import claim as claim
from cockpit.runs.care import is_here as is_here
from cockpit.runs.care import supervisor_alive as supervisor_alive
from cockpit.runs.care import supervisor_info as supervisor_info
from cockpit.runs.care import this_host as this_host
from cockpit.runs.care import trainer_alive as trainer_alive
from cockpit.runs.directory import AmbiguousRun as AmbiguousRun
from cockpit.runs.directory import BadName as BadName
from cockpit.runs.directory import Run as Run
from cockpit.runs.directory import RunError as RunError
from cockpit.runs.directory import RunNotFound as RunNotFound
from cockpit.runs.directory import load as load
from cockpit.runs.directory import runs_root as runs_root
from cockpit.runs.directory import write_private as write_private
from cockpit.runs.finding import all_runs as all_runs
from cockpit.runs.finding import check_name as check_name
from cockpit.runs.finding import find as find
from cockpit.runs.making import create as create
