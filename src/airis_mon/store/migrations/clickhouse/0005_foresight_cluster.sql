-- only on a cluster: each name without _local is the whole of all shards.

CREATE TABLE IF NOT EXISTS forecast {on_cluster} AS forecast_local
ENGINE = Distributed('{cluster}', '{database}', 'forecast_local', fp);

CREATE TABLE IF NOT EXISTS outcome {on_cluster} AS outcome_local
ENGINE = Distributed('{cluster}', '{database}', 'outcome_local', fp);

CREATE TABLE IF NOT EXISTS prediction {on_cluster} AS prediction_local
ENGINE = Distributed('{cluster}', '{database}', 'prediction_local', sipHash64(id));
