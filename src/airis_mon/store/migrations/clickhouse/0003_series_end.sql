-- A series that was not seen for so long has no samples left: it ends with them.
ALTER TABLE series{local} {on_cluster} MODIFY TTL toDateTime(last_seen) + toIntervalDay({retention_days});
