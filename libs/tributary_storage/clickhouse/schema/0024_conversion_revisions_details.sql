-- Adds what a revision says beside its credit: what its name stood for, parts of the value, reporting currency, ads.
-- What is seldom set, or looked at one at a time, shares a column: every column costs each insert, however few its rows.
ALTER TABLE conversion_revisions /*ON CLUSTER*/
    ADD COLUMN IF NOT EXISTS role LowCardinality(String) COMMENT 'REVENUE, LEAD, MICRO, as the workspace said then',
    ADD COLUMN IF NOT EXISTS is_primary Bool DEFAULT 1 COMMENT 'whether totals of its role included it then',
    ADD COLUMN IF NOT EXISTS traffic LowCardinality(String) COMMENT 'why traffic is not counted: TEST, INTERNAL',
    ADD COLUMN IF NOT EXISTS amounts_micros Map(LowCardinality(String), Int64)
        COMMENT 'parts of the value that were stated: goods, discount, tax, shipping, fees, gift_card, cost_of_goods',
    ADD COLUMN IF NOT EXISTS rate_picos Int64 COMMENT 'rate of reporting_value_micros, times 10^12; 0: none',
    ADD COLUMN IF NOT EXISTS rate_date Date32 COMMENT 'day of that rate; 1970: none',
    ADD COLUMN IF NOT EXISTS reporting_credit_micros Map(LowCardinality(String), Array(Int64))
        COMMENT 'model -> value of each touch in the reporting currency, as long as touch_times',
    ADD COLUMN IF NOT EXISTS touch_details Array(Map(LowCardinality(String), String))
        COMMENT 'what else is known of each touch, by the names of conversion_rows.TOUCH_DETAILS'
