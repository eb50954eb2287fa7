-- Which click ids, by their numbers in journeys, events carry that are none of a person's: the texts of these stay. Of what
-- is so old that its texts have expired nothing is sent.
SELECT DISTINCT xxHash64(concat(family, ':', value)) AS click
FROM events
ARRAY JOIN
    click_id_families AS family,
    click_id_values AS value
WHERE workspace = %(workspace)s
    AND event_time > fromUnixTimestamp64Micro(%(until)s, 'UTC') - toIntervalSecond(%(life_seconds)s)
    AND click IN %(clicks)s
    AND NOT (
        event_time <= fromUnixTimestamp64Micro(%(until)s, 'UTC')
        AND /*home*/
            IN %(tokens)s
    )
