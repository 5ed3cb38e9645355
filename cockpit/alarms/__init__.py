"""What is worth waking somebody for: rules over the entries of a run. No Textual, no clock, no I/O.

A rule is one function under `@rule("its-name")` in a module of this folder that is imported here.
It gets the configuration and what is raised already, and returns a check, which is called with
every entry: None where the entry says nothing to it, else all that holds now. `Watch` compares
that with what is raised and says what to write into the journal.
"""

from cockpit.alarms import imbalance, loss
from cockpit.alarms.rule import RULES as RULES
from cockpit.alarms.rule import SEVERITIES as SEVERITIES
from cockpit.alarms.rule import Finding as Finding
from cockpit.alarms.rule import rule as rule
from cockpit.alarms.watch import Watch as Watch

assert imbalance and loss  # importing them registered their rules
