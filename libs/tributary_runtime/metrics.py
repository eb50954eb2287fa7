"""The catalogue: every instrument of every process.

The one rule: attributes are closed. An attribute is an enum, or a `DeclaredSet` that code (never a caller) fills at
start; what is not in it counts as `other`. So no input, of a user or of a workspace, can make a new time series.

Latency, API success rate and duplicate rate come from exactly one instrument each: EVENT_TO_CREDIT, DELIVERY_ATTEMPTS,
EVENTS.
"""

from enum import StrEnum

import grpc

from tributary_domain.revision import Cause
from tributary_runtime.instruments import DeclaredSet, counter, gauge, histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Boundaries for what should take milliseconds."""

LAG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 3600, 86_400)
"""Boundaries for what waits in a log."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Boundaries for numbers of events in a batch."""


class Verdict(StrEnum):
    """What became of an event, as the contract names it."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"
    QUARANTINED = "QUARANTINED"
    UNDECIDED = "UNDECIDED"
    VALID = "VALID"


class Lane(StrEnum):
    """The lane of the event log."""

    LIVE = "live"
    BULK = "bulk"


class Group(StrEnum):
    """A consumer group."""

    RECORD = "record"
    ATTRIBUTE = "attribute"
    DELIVER = "deliver"


class Outcome(StrEnum):
    """What came of one attempt to deliver (DESIGN section 8)."""

    OK = "OK"
    RETRY = "RETRY"
    THROTTLED = "THROTTLED"
    REAUTH = "REAUTH"
    SPLIT = "SPLIT"
    PERMANENT = "PERMANENT"
    CONFIG = "CONFIG"
    UNKNOWN = "UNKNOWN"


class DestinationType(StrEnum):
    """What kind of destination was called."""

    WEBHOOK = "webhook"
    GOOGLE = "google"
    META = "meta"
    LINKEDIN = "linkedin"
    TIKTOK = "tiktok"
    GOOGLE_ADS = "google_ads"
    HUBSPOT = "hubspot"
    MICROSOFT = "microsoft"
    PINTEREST = "pinterest"
    REDDIT = "reddit"
    SALESFORCE = "salesforce"
    SNAP = "snap"
    WAREHOUSE = "warehouse"


class Table(StrEnum):
    """A ClickHouse table that is written in batches."""

    EVENTS = "events"
    REFUSALS = "refusals"
    QUARANTINE_DECISIONS = "quarantine_decisions"
    CONVERSIONS = "conversions"
    CONVERSION_REVISIONS = "conversion_revisions"
    DELIVERIES = "deliveries"
    DESTINATION_REPORTS = "destination_reports"
    DESTINATION_SPANS = "destination_spans"
    SPEND = "spend"
    SPEND_SLICES = "spend_slices"
    DEALS = "deals"
    IDENTITY_CHANGES = "identity_changes"
    IDENTITY_WORDS = "identity_words"
    ERASURES = "erasures"
    UNFINISHED_ERASURES = "unfinished_erasures"
    STAND_INS = "stand_ins"
    ORDER_CHANGES = "order_changes"
    EXCHANGE_RATES = "exchange_rates"
    SETTINGS_VERSIONS = "settings_versions"
    MODEL_VERSIONS = "model_versions"
    RETENTIONS = "retentions"
    DELETED_ROWS = "deleted_rows"
    ENDED_PATHS = "ended_paths"
    ENDED_PATHS_PAGES = "ended_paths_pages"


class BatchOutcome(StrEnum):
    """What came of a batch that a worker read."""

    HANDLED = "handled"
    BACKPRESSURE = "backpressure"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


class ReloadOutcome(StrEnum):
    """What came of a changed `workspaces.yaml`."""

    TAKEN = "taken"
    REFUSED = "refused"


class HumanCheckOutcome(StrEnum):
    """What a provider said of a human-check token."""

    HUMAN = "human"
    BOT = "bot"
    UNKNOWN = "unknown"
    REUSED = "reused"


class VelocityOutcome(StrEnum):
    """What came of counting one conversion."""

    PASSED = "passed"
    EXCEEDED = "exceeded"
    UNANSWERED = "unanswered"


RPC_METHODS = DeclaredSet("rpc_methods")
"""Full method names; filled from the servicers' rules at start."""

RPC_CODES = DeclaredSet("rpc_codes", (code.name for code in grpc.StatusCode))
"""Names of gRPC status codes."""

# -- every process ----------------------------------------------------------------------------------------------------
RPC_DURATION = histogram(
    "tributary.rpc.duration",
    "s",
    "Time to answer a call, by method and code.",
    SECONDS,
    method=RPC_METHODS,
    code=RPC_CODES,
)
RPC_STREAMS = gauge("tributary.rpc.streams", "{stream}", "Streams of batches that are open.")
WORKSPACES_RELOADS = counter(
    "tributary.workspaces.reloads", "{reload}", "Changes of workspaces.yaml taken or refused.", outcome=ReloadOutcome
)
ADDRESS_LIST_READS = counter(
    "tributary.ingestion.address_list_reads",
    "{read}",
    "Lists of client networks read at start or after a change, taken or refused.",
    outcome=ReloadOutcome,
)
READY = gauge("tributary.process.ready", "1", "1 while every guard passes, 0 while the process refuses work.")

# -- ingestion --------------------------------------------------------------------------------------------------------
EVENTS = counter("tributary.ingestion.events", "{event}", "Events decided on, by verdict.", verdict=Verdict)
REQUEST_EVENTS = histogram("tributary.ingestion.request_events", "{event}", "Events in one request.", SIZES)
WARNINGS = counter("tributary.ingestion.warnings", "{warning}", "Warnings told about events that were accepted.")
HUMAN_CHECKS = counter(
    "tributary.ingestion.human_checks", "{token}", "Human-check tokens asked for, by answer.", outcome=HumanCheckOutcome
)
VELOCITY_CHECKS = counter(
    "tributary.ingestion.velocity_checks",
    "{conversion}",
    "Conversions held against the limits of their senders; unanswered ones passed.",
    outcome=VelocityOutcome,
)

# -- dedup ------------------------------------------------------------------------------------------------------------
COMMIT_EVENTS = histogram("tributary.admission.commit_events", "{event}", "Events in one group commit.", SIZES)
COMMIT_CALLS = histogram("tributary.admission.commit_calls", "{call}", "Calls that shared one group commit.", SIZES)
COMMIT_DURATION = histogram(
    "tributary.admission.commit_duration", "s", "Time of one group commit, fsync included.", SECONDS
)
CLAIMS_SWEPT = counter("tributary.admission.claims_swept", "{claim}", "Claims removed past their life.")
LARGEST_BUCKET = gauge(
    "tributary.admission.largest_bucket", "{claim}", "Claims in the largest bucket seen in this pass over all of them."
)
OUTGROWN_BUCKETS = gauge(
    "tributary.admission.outgrown_buckets",
    "{bucket}",
    "Buckets seen in this pass that lost the small encoding: their claims cost four times the memory for good.",
)
RECORDER_LAG = histogram(
    "tributary.recorder.lag", "s", "From accept to recorded in ClickHouse, per entry.", LAG_SECONDS, lane=Lane
)

# -- workers ----------------------------------------------------------------------------------------------------------
BATCHES = counter(
    "tributary.worker.batches", "{batch}", "Batches read, by what came of them.", group=Group, outcome=BatchOutcome
)
BATCH_ENTRIES = histogram("tributary.worker.batch_entries", "{entry}", "Entries in one batch.", SIZES, group=Group)
BATCH_DURATION = histogram("tributary.worker.batch_duration", "s", "Time to handle one batch.", SECONDS, group=Group)
LAG_AGE = gauge(
    "tributary.worker.lag_age", "s", "Age of the oldest entry just read: how far a group is behind.", group=Group
)
DEAD_LETTERS = counter("tributary.worker.dead_letters", "{event}", "Events that can never be handled.", group=Group)
TAKEN_OVER = counter(
    "tributary.worker.taken_over", "{entry}", "Entries taken over from a worker that died.", group=Group
)
WRITTEN_ROWS = counter("tributary.storage.rows", "{row}", "Rows written to ClickHouse.", table=Table)

# -- attribution ------------------------------------------------------------------------------------------------------
ATTRIBUTED_EVENTS = counter("tributary.attribution.events", "{event}", "Events applied to journeys.")
CONVERSIONS = counter("tributary.attribution.conversions", "{conversion}", "Conversions credited for the first time.")
REVISIONS = counter("tributary.attribution.revisions", "{revision}", "Revisions published, by cause.", cause=Cause)
PUBLISH_CONFLICTS = counter(
    "tributary.attribution.publish_conflicts", "{conflict}", "Publishes that met a newer revision and started over."
)
DEFERRED_CONVERSIONS = counter(
    "tributary.attribution.deferred_conversions",
    "{conversion}",
    "Conversions of busy people that were left to be credited again later.",
)
COUNTED_PEOPLE = counter(
    "tributary.attribution.counted_people",
    "{person}",
    "People counted anew as the path that data_driven learns from.",
)
REBUILT_EVENTS = counter(
    "tributary.attribution.rebuilt_events", "{event}", "Events brought back after a loss of the state store."
)
RECALLED_JOURNEYS = counter(
    "tributary.attribution.recalled_journeys",
    "{journey}",
    "Journeys read from ClickHouse because something reaches further back than Redis does.",
)
EXPIRED_ROWS = counter(
    "tributary.attribution.deleted_rows",
    "{row}",
    "Events and refusals deleted because they are older than the workspace keeps them, by table.",
    table=Table,
)
PUBLISHED_MODELS = counter(
    "tributary.attribution.published_models",
    "{model}",
    "Versions of data_driven models that were published.",
)
EVENT_TO_CREDIT = histogram(
    "tributary.attribution.event_to_credit",
    "s",
    "From accept to credit stored in ClickHouse, per conversion.",
    LAG_SECONDS,
)

# -- delivery ---------------------------------------------------------------------------------------------------------
DELIVERY_ATTEMPTS = counter(
    "tributary.delivery.attempts",
    "{attempt}",
    "Attempts to deliver, by outcome: of what left, or may have.",
    destination=DestinationType,
    outcome=Outcome,
)
DELIVERY_UNSENT = counter(
    "tributary.delivery.unsent",
    "{conversion}",
    "Conversions that could not leave, which is no attempt, by outcome: no connection, no access token.",
    destination=DestinationType,
    outcome=Outcome,
)
DELIVERY_DURATION = histogram(
    "tributary.delivery.duration", "s", "Time of one call to a destination.", SECONDS, destination=DestinationType
)
CREDIT_TO_DELIVERY = histogram(
    "tributary.delivery.credit_to_delivery",
    "s",
    "From revision to the destination's OK.",
    LAG_SECONDS,
    destination=DestinationType,
)
INELIGIBLE = counter("tributary.delivery.ineligible", "{conversion}", "Conversions a destination does not get.")
WAREHOUSE_REVISIONS = counter(
    "tributary.delivery.warehouse_revisions", "{revision}", "Revisions in batches that warehouses can load."
)
WAREHOUSE_LAG = gauge(
    "tributary.delivery.warehouse_lag",
    "s",
    "Age of the oldest revision that the warehouse looked at last cannot load yet.",
)
