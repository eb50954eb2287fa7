"""ClickHouse: what is asked later.

`migrate` makes the tables, the writers fill them, `reports` and its neighbours ask. Every write may run again: a row's
key is its content's, so that a repeated row replaces itself.
"""
