-- The conversions of a workspace, and what in them does not add up: per model of each counted one, credit to 1 000 000
-- and money to the value. FINAL: the newest revision counts.
SELECT
    count(),
    uniqExact(conversion_id),
    countIf(order_id != ''),
    uniqExactIf(tuple(name, store, order_id, cycle), order_id != ''),
    countIf(counted),
    sumIf(length(credit_sums), counted),
    sumIf(arrayCount(credit -> credit = 1000000, credit_sums), counted),
    sumIf(arrayCount(value -> value = value_micros, value_sums), counted)
FROM
(
    SELECT
        conversion_id,
        name,
        store,
        order_id,
        cycle,
        counted,
        value_micros,
        notEmpty(data_driven_credit_micros) AS is_trained,
        arrayResize([
            arraySum(first_touch_credit_micros),
            arraySum(last_touch_credit_micros),
            arraySum(last_non_direct_credit_micros),
            arraySum(linear_credit_micros),
            arraySum(position_based_credit_micros),
            arraySum(time_decay_credit_micros),
            arraySum(data_driven_credit_micros)
        ], if(is_trained, 7, 6)) AS credit_sums,
        arrayResize([
            arraySum(first_touch_value_micros),
            arraySum(last_touch_value_micros),
            arraySum(last_non_direct_value_micros),
            arraySum(linear_value_micros),
            arraySum(position_based_value_micros),
            arraySum(time_decay_value_micros),
            arraySum(data_driven_value_micros)
        ], if(is_trained, 7, 6)) AS value_sums
    FROM conversions FINAL
    WHERE workspace = %(workspace)s
)
