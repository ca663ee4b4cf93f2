"""The SQL of the joins, over the tables of :mod:`recsys.evaluation.joins_stage`.

Everything is found by hash, and lists are taken apart only where a request has outcomes, or where items are
what is asked for.
"""

from __future__ import annotations

# One row per outcome whose request was exposed. `place` counts from 1 in order of rank, 0 is not in the
# list; an item listed twice is found at its best rank, so that no outcome counts twice.
MATCHED = """
CREATE TABLE matched AS
SELECT o.rowid AS outcome, o.r1, o.r2, o.item, o.is_conversion, o.value, e.ctx,
       coalesce(list_position(e.items, o.item), 0) AS place, e.usr <> o.usr AS is_other_user,
       o.ts < e.ts AS is_early, o.ts >= e.ts AND o.ts <= e.ts + to_microseconds($window_us) AS in_window
FROM outcomes o JOIN exposures e USING (r1, r2);
"""

# Values are added in their order of size: a sum of floats would depend on that in which threads deliver them.
_SUM = "coalesce(list_sum(list_sort(list(value) FILTER (value IS NOT NULL))), 0.0)"

CREDIT = f"""
CREATE TABLE credit AS
SELECT r1, r2, place, count(*) FILTER (NOT is_conversion) AS clicks,
       count(*) FILTER (is_conversion) AS conversions, {_SUM} AS value
FROM matched WHERE in_window AND place > 0 GROUP BY r1, r2, place;
"""  # noqa: S608 - of constants

TOTALS = f"""
CREATE TABLE totals AS
SELECT r1, r2, count(*) FILTER (NOT is_conversion) AS clicks,
       count(*) FILTER (is_conversion) AS conversions, {_SUM} AS value
FROM matched WHERE in_window AND place > 0 GROUP BY r1, r2;
"""  # noqa: S608 - of constants

# A request that several experiments, or several arms of one, claim takes the first by name.
ARMS = """
CREATE TABLE arms AS
SELECT r1, r2, arg_min(experiment_id, (experiment_id, variant)) AS experiment_id,
       arg_min(variant, (experiment_id, variant)) AS variant, count(DISTINCT (experiment_id, variant)) AS
       n_arms
FROM assignments WHERE $experiment IS NULL OR experiment_id = $experiment GROUP BY r1, r2;
"""

REQUESTS = """
CREATE VIEW requests AS
WITH served AS (
    SELECT e.*, c.pairs AS context, a.experiment_id AS assigned_to, a.variant AS assigned,
           coalesce(t.clicks, 0) AS clicks, coalesce(t.conversions, 0) AS conversions,
           coalesce(t.value, 0.0) AS value
    FROM exposures e LEFT JOIN totals t USING (r1, r2) LEFT JOIN arms a USING (r1, r2)
    LEFT JOIN contexts c USING (ctx)
), told AS (
    SELECT *, {experiment} IS NULL OR context['experiment_id'] = {experiment} AS is_told FROM served
)
SELECT {names}r1, r2, usr, ts, (ts AT TIME ZONE 'UTC')::DATE AS day, context['surface'] AS surface,
       context['segment'] AS segment,
       coalesce(assigned_to, CASE WHEN is_told THEN context['experiment_id'] END) AS experiment_id,
       coalesce(assigned, CASE WHEN is_told THEN context['experiment_variant'] END) AS variant,
       latency_ms, coalesce(error, false) AS error, len(items)::BIGINT AS n_items, clicks, conversions, value
FROM told;
"""

ITEMS = """
CREATE VIEW items AS
WITH flat AS (
    SELECT request_id, user_id, r1, r2, ts, ctx, unnest(item_ids) AS item_id, unnest(ranks) AS rank,
           unnest(propensity_list) AS propensity, unnest(logging_propensity_list) AS logging_propensity,
           unnest(target_propensity_list) AS target_propensity, generate_subscripts(items, 1) AS place
    FROM exposures
)
SELECT request_id, user_id, ts, c.pairs['surface'] AS surface, c.pairs['segment'] AS segment, item_id, rank,
       propensity, logging_propensity, target_propensity, coalesce(clicks, 0) AS clicks,
       coalesce(conversions, 0) AS conversions, coalesce(value, 0.0) AS value
FROM flat LEFT JOIN credit USING (r1, r2, place) LEFT JOIN contexts c USING (ctx);
"""

USERS = f"""
CREATE VIEW users AS
SELECT user_id, variant, count(*) AS requests, sum(clicks)::BIGINT AS clicks,
       sum(conversions)::BIGINT AS conversions, {_SUM} AS value, count(*) FILTER (error) AS errors,
       count(*) FILTER (n_items = 0) AS empty_lists, min(ts) AS first_ts
FROM requests GROUP BY user_id, variant;
"""  # noqa: S608 - of constants

COUNTS = """
SELECT (SELECT count(*) FROM exposures), (SELECT count(*) FROM outcomes), count(*) FILTER (place > 0),
       count(*) FILTER (place > 0 AND in_window), count(*) FILTER (place > 0 AND is_early),
       (SELECT count(*) FROM totals), (SELECT count(*) FROM arms WHERE n_arms > 1)
FROM matched;
"""
