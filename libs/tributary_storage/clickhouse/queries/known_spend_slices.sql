-- Per account and day the newest slice, and what the slices of the given versions say.
SELECT
    destination,
    account_id,
    date,
    max(slice_version) AS newest,
    groupUniqArrayIf((slice_version, hex(content_digest)), slice_version IN %(versions)s) AS known
FROM spend_slices
WHERE workspace = %(workspace)s
    AND (destination, account_id) IN %(accounts)s
    AND date BETWEEN %(first)s AND %(last)s
GROUP BY
    destination,
    account_id,
    date
