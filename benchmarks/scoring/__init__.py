"""How quality is scored: the rules of the public sets, chance, and resampling."""
