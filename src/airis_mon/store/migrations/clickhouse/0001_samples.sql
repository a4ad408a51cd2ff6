-- Files are applied in the order of their numbers, each once. A released file is never edited: a change is a new file.
-- ClickHouse has no transaction for DDL, so every statement can be repeated. A semicolon at a line's end ends a statement.
-- Templates: {replicated} "" or "Replicated", {local} "" or "_local", {on_cluster} "" or "ON CLUSTER ...", and numbers.

-- value = mantissa / 10^exponent; exponent 127: the mantissa holds the bits of a value that is no short decimal.
-- Series of a target share their times, so larger blocks of `ts` find them again.
CREATE TABLE IF NOT EXISTS samples{local} {on_cluster}
(
    tenant   LowCardinality(String) CODEC(ZSTD(1)),
    metric   LowCardinality(String) CODEC(ZSTD(1)),
    fp       UInt64                 CODEC(Delta, ZSTD(1)),
    ts       DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1))
             SETTINGS (min_compress_block_size = 524288, max_compress_block_size = 1048576),
    mantissa Int64                  CODEC(Delta, T64('bit'), ZSTD(1)),
    exponent Int8                   CODEC(ZSTD(1)),
    value    Float64                ALIAS if(exponent = 127, reinterpretAsFloat64(mantissa), mantissa / intExp10(exponent))
)
ENGINE = {replicated}MergeTree
PARTITION BY toDate(ts)
ORDER BY (tenant, metric, fp, ts)
TTL toDateTime(ts) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, {dedup_window} = 1000, min_parts_to_merge_at_once = 16,
    auto_statistics_types = '', materialize_statistics_on_merge = 0;

-- first_seen is floored to the hour, last_seen is refreshed once an hour.
CREATE TABLE IF NOT EXISTS series{local} {on_cluster}
(
    tenant     LowCardinality(String),
    metric     LowCardinality(String),
    fp         UInt64,
    labels     SimpleAggregateFunction(any, Map(String, String)) CODEC(ZSTD(1)),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen  SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = {replicated}AggregatingMergeTree
ORDER BY (tenant, metric, fp);

CREATE TABLE IF NOT EXISTS anomalies{local} {on_cluster}
(
    tenant   LowCardinality(String),
    fp       UInt64,
    signal   LowCardinality(String),
    ts       DateTime64(3, 'UTC'),
    labels   Map(LowCardinality(String), String),
    value    Float64,
    score    Float64,
    onset    Float64,
    level    Float64,
    expected Float64,
    lower    Float64,
    upper    Float64,
    feature  LowCardinality(String)
)
ENGINE = {replicated}ReplacingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (tenant, fp, signal, ts)
TTL toDateTime(ts) + toIntervalDay({history_days});

-- One row per series and window, without NaN and infinity. A window that is built again replaces itself.
CREATE TABLE IF NOT EXISTS rollup_5m{local} {on_cluster}
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    fp     UInt64                 CODEC(Delta, ZSTD(1)),
    t      DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    vmin   Float64                CODEC(Delta, ZSTD(1)),
    vmax   Float64                CODEC(Delta, ZSTD(1)),
    vsum   Float64                CODEC(Delta, ZSTD(1)),
    n      UInt64                 CODEC(T64, ZSTD(1)),
    last   Float64                CODEC(Delta, ZSTD(1)),
    built  DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(built)
PARTITION BY toYYYYMM(t)
ORDER BY (tenant, metric, fp, t)
TTL t + toIntervalDay({rollup_days});

CREATE TABLE IF NOT EXISTS rollup_1h{local} {on_cluster}
(
    tenant LowCardinality(String) CODEC(ZSTD(1)),
    metric LowCardinality(String) CODEC(ZSTD(1)),
    fp     UInt64                 CODEC(Delta, ZSTD(1)),
    t      DateTime('UTC')        CODEC(Delta, ZSTD(1)),
    vmin   Float64                CODEC(Delta, ZSTD(1)),
    vmax   Float64                CODEC(Delta, ZSTD(1)),
    vsum   Float64                CODEC(Delta, ZSTD(1)),
    n      UInt64                 CODEC(T64, ZSTD(1)),
    last   Float64                CODEC(Delta, ZSTD(1)),
    built  DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1))
)
ENGINE = {replicated}ReplacingMergeTree(built)
PARTITION BY toYYYYMM(t)
ORDER BY (tenant, metric, fp, t)
TTL t + toIntervalDay({history_days});
