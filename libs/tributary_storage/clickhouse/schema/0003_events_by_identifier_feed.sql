-- Fills `events_by_identifier` with every insert into `events`.
CREATE MATERIALIZED VIEW IF NOT EXISTS events_by_identifier_feed /*ON CLUSTER*/ TO events_by_identifier AS
SELECT
    workspace,
    arrayJoin(identity_tokens) AS identity_token,
    event_time,
    event_id,
    kind,
    verdict,
    conversion_id
FROM events
