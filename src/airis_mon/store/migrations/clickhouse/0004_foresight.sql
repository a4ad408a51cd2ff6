-- Points of forecasts, all of one round with the same `made`. `t` is the end of the step that a point tells of.
-- A `spare` point is one that a later round is expected to tell of again: kept until it was held against what happened.
CREATE TABLE IF NOT EXISTS forecast{local} {on_cluster}
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    made   DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1)),
    fp     UInt64                 CODEC(Delta, ZSTD(1)),
    signal LowCardinality(String) CODEC(ZSTD(1)),
    t      DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1)),
    mean   Float64                CODEC(Delta, ZSTD(1)),
    lower  Float64                CODEC(Delta, ZSTD(1)),
    upper  Float64                CODEC(Delta, ZSTD(1)),
    level  Float64                CODEC(ZSTD(1)),
    model  LowCardinality(String) CODEC(ZSTD(1)),
    spare  UInt8                  CODEC(ZSTD(1))
)
ENGINE = {replicated}MergeTree
PARTITION BY toYYYYMM(made)
ORDER BY (tenant, made, fp, signal, t)
TTL toDateTime(t) + toIntervalDay({history_days}), toDateTime(t) + toIntervalDay({spare_days}) DELETE WHERE spare = 1;

-- What became of a round's forecast of a signal, from the points between the lead before this one and this one (ms).
-- error, naive: sums over `points` of the absolute error of the forecast and of seasonal naive; banded: points that had
-- an interval, covered: those it held. A round that is scored again replaces itself.
CREATE TABLE IF NOT EXISTS outcome{local} {on_cluster}
(
    tenant  LowCardinality(String) CODEC(ZSTD(1)),
    made    DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1)),
    fp      UInt64                 CODEC(Delta, ZSTD(1)),
    signal  LowCardinality(String) CODEC(ZSTD(1)),
    lead    Int64                  CODEC(ZSTD(1)),
    model   LowCardinality(String) CODEC(ZSTD(1)),
    points  UInt64                 CODEC(T64, ZSTD(1)),
    error   Float64                CODEC(ZSTD(1)),
    naive   Float64                CODEC(ZSTD(1)),
    banded  UInt64                 CODEC(T64, ZSTD(1)),
    covered UInt64                 CODEC(T64, ZSTD(1)),
    level   Float64                CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(made)
ORDER BY (tenant, made, fp, signal, lead)
TTL toDateTime(made) + toIntervalDay({history_days});

-- Warnings; the latest state of each id stands. facts: JSON of what is not searched for.
CREATE TABLE IF NOT EXISTS prediction{local} {on_cluster}
(
    tenant  LowCardinality(String),
    id      String,
    updated DateTime64(3, 'UTC'),
    started DateTime64(3, 'UTC'),
    ended   Nullable(DateTime64(3, 'UTC')),
    kind    LowCardinality(String),
    name    String,
    labels  Map(String, String),
    facts   String CODEC(ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(updated)
ORDER BY (tenant, id)
TTL toDateTime(updated) + toIntervalDay({history_days});
