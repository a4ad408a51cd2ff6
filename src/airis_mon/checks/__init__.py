"""The examination that each kind of plug-in must pass; third parties run it on theirs."""
