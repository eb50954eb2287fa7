"""The only code that talks to Redis and ClickHouse.

`redis` holds what must be decided now (claims, the event log, journeys, jobs); `clickhouse` what is asked later
(events, conversions, deliveries, reports). Every Redis key, SQL statement and Lua script has one home here.
"""
