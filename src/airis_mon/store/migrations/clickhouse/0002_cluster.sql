-- only on a cluster: each name without _local is the whole of all shards; one series lies wholly on one shard.

CREATE TABLE IF NOT EXISTS samples {on_cluster} AS samples_local
ENGINE = Distributed('{cluster}', '{database}', 'samples_local', fp);

CREATE TABLE IF NOT EXISTS series {on_cluster} AS series_local
ENGINE = Distributed('{cluster}', '{database}', 'series_local', fp);

CREATE TABLE IF NOT EXISTS anomalies {on_cluster} AS anomalies_local
ENGINE = Distributed('{cluster}', '{database}', 'anomalies_local', fp);

CREATE TABLE IF NOT EXISTS rollup_5m {on_cluster} AS rollup_5m_local
ENGINE = Distributed('{cluster}', '{database}', 'rollup_5m_local', fp);

CREATE TABLE IF NOT EXISTS rollup_1h {on_cluster} AS rollup_1h_local
ENGINE = Distributed('{cluster}', '{database}', 'rollup_1h_local', fp);
