"""People, journeys, credit: from the event log to published conversions.

What becomes of an event, step by step; each step may run twice, and the event is acknowledged after the last:

| step                                                            | module           | keeps it in              |
|-----------------------------------------------------------------|------------------|--------------------------|
| 1. a batch of log entries is read                               | `attributor`     |                          |
| 2. each event is taken apart                                    | `arrivals`       |                          |
| 3. what it says about a conversion is written, with the order   | `observing`      | `conversion:`            |
|    it belongs to                                                |                  |                          |
| 4. the texts of its source and click id are kept                | `attributor`     | `descriptor:`, `click:`  |
| 5. tokens become a person, the event joins the journey; people  | `redis.people`   | `journey:`               |
|    who turn out to be one are united                            |                  |                          |
| 6. the conversions it may have changed are found                | `affected`       |                          |
| 7. what is too much of one person for a batch is put off, and   | `deferral`       | `deferred`               |
|    done by a loop beside the batches, from step 8 on            |                  |                          |
| 8. what Redis has lost of them comes from ClickHouse            | `restoration`    | `conversion:`            |
| 9. parts and journey (as `views` shows it) become a revision    | `crediting`      |                          |
| 10. it is published where nothing has moved since, else again   | `publishing`     | `conversion:`, marked    |
|     from step 8                                                 |                  |                          |
| 11. ClickHouse stores it, the conversion log tells, the mark    | `publishing`     | ClickHouse, conversion   |
|     goes                                                        |                  | log                      |

The rules are in `tributary_domain`: `conversion` (what parts say together: `ConversionFacts`), `windows` and `touches`
(which touches share it), `attribution` (how), `revision` (what changed, and why). `credit_settings` puts a workspace's
settings into its words. The message `ConversionState` is what is published of all that.

Two batches are under way at once: the next is read once the one before is published, and only then (`turns`).

Beside the way: `people_as_paths` counts whom and what data_driven learns from; `retention` trims the conversion log;
`journeys` and `servicer` answer who asks for a journey.
"""

import tributary_runtime.quick_start  # noqa: F401 - first of all, for its effects
