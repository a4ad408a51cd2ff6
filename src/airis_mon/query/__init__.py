"""PromQL over the store: text -> plan -> what the store fetches -> algebra over arrays -> answer."""
