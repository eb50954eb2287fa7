"""A process of Tributary: how it starts, observes, fails and stops. Knows no contract and no store.

Starting and stopping
    settings            environment -> frozen settings, all problems at once: `load(DedupSettings)`
    server              `run(settings, main)` in `__main__`; `serve(settings, servicer, loops=..., guards=...)`
    readiness           guards, gRPC health, the drain
    clock               the only clock
    quick_start  heap   what a process need not do while it starts, and what its garbage collector need not look at

Calls
    interceptors        around every call: who may (`Scope`, `INTERNAL`, `PUBLIC`), errors, canonical line, span
    authentication      API key -> `current_caller()`; `new_key()`
    channels            `open_channel(target, token)`: round robin, deadline, traceparent, no hidden retries
    errors              the error tree and its `google.rpc.Status`; `remote_errors` reads it back

Streams
    worker              `Worker(group, source, handler, clock)`: acknowledge last, dead-letter alone, stop in time

Workspaces
    workspaces_file     `WorkspacesFile(path)`: read, reloaded; `get(id)`, `current`
    workspaces          the model of the file; `declared` what its parts share, `secret_references` its secrets
    attribution_settings  conversion_settings  destination_settings  privacy_settings

Signals
    telemetry           logs, traces, metrics of a process: started and flushed together
    logs  redaction     JSON lines; what must never be in one
    traces              `span`, `linked_span`, `current_traceparent`
    metrics             the catalogue; `instruments` what an instrument is
"""
