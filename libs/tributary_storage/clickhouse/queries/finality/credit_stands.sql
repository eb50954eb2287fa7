-- Whether the credit of one conversion is the one of a moment: who shares its newest revision, or one that is asked for, and
-- how, as in the newest of that moment. One that has no credit, for it does not count, has none that could be another.
-- Not that of data_driven, which no run compares. FINAL: one that was written again replaces what it was.
SELECT empty(argMax(credit, revision).1)
    OR argMax(credit, revision) = argMaxIf(credit, revision, revision <= %(verified)s)
FROM
(
    SELECT
        revision,
        (
            touch_event_ids,
            first_touch_credit_micros,
            last_touch_credit_micros,
            last_non_direct_credit_micros,
            linear_credit_micros,
            position_based_credit_micros,
            time_decay_credit_micros
        ) AS credit
    FROM conversion_revisions FINAL
    PREWHERE conversion_id = %(conversion_id)s
        AND revision <= %(revision)s
    WHERE workspace = %(workspace)s
)
